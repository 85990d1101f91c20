package config

import (
	"fmt"
	"slices"
	"strings"
)

// String returns the problem on one line: the line, the pool, the path and the message, without the missing parts.
func (p Problem) String() string {
	var parts []string
	if p.Line > 0 {
		parts = append(parts, fmt.Sprintf("line %d", p.Line))
	}
	if p.Pool != "" {
		parts = append(parts, fmt.Sprintf("pool %q", p.Pool))
	}
	if p.Path != "" {
		parts = append(parts, p.Path)
	}
	return strings.Join(append(parts, p.Message), ": ")
}

// Problems is the error of a refused document, with everything that is wrong in the document.
type Problems struct {
	// List is in the order of the document, and never empty.
	List []Problem
}

// maxShown limits the number of problems in Error: enough for the author of a document, and not too much for a log.
const maxShown = 100

// Error returns the problems, one on a line: at most the first 100, then the number of the others.
func (p *Problems) Error() string {
	if more := len(p.List) - maxShown; more > 0 {
		noun := "problems"
		if more == 1 {
			noun = "problem"
		}
		return fmt.Sprintf("%s\nand %d more %s", joinLines(p.List[:maxShown]), more, noun)
	}
	return joinLines(p.List)
}

func joinLines(list []Problem) string {
	lines := make([]string, len(list))
	for i, problem := range list {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// place is a position in the document.
type place struct {
	line int
	pool string
	path string
}

// key returns the place of the value of a key in the mapping at p.
func (p place) key(name string, line int) place {
	name = shortened(name)
	if p.path != "" {
		name = p.path + "." + name
	}
	return place{line: line, pool: p.pool, path: name}
}

// item returns the place of the i-th item, from 0, of the list at p.
func (p place) item(i, line int) place {
	return place{line: line, pool: p.pool, path: fmt.Sprintf("%s[%d]", p.path, i)}
}

func (p place) problem(message string) Problem {
	return Problem{Line: p.line, Pool: p.pool, Path: p.path, Message: shortened(message)}
}

// maxMessage limits the length of the message of a problem, in characters. A longer message keeps keptEnds characters
// at each end. A message repeats text of the user, and the file may by mistake be a secret one, such as a token.
const (
	maxMessage = 500
	keptEnds   = 100
)

// shortened returns message, without the middle part if message is too long.
func shortened(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	runes := []rune(message)
	if len(runes) <= maxMessage {
		return message
	}
	return string(runes[:keptEnds]) + " ... " + string(runes[len(runes)-keptEnds:])
}

// findings collects the problems and warnings of one document, so that one report contains all of them.
type findings struct {
	problems []Problem
	warnings []Problem
}

func (f *findings) fail(at place, format string, args ...any) {
	f.problems = append(f.problems, at.problem(fmt.Sprintf(format, args...)))
}

func (f *findings) warn(at place, format string, args ...any) {
	f.warnings = append(f.warnings, at.problem(fmt.Sprintf(format, args...)))
}

// inOrder sorts by line; entries of the same line keep their order.
func inOrder(list []Problem) []Problem {
	slices.SortStableFunc(list, func(a, b Problem) int { return a.Line - b.Line })
	return list
}
