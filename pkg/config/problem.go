package config

import (
	"fmt"
	"slices"
	"strings"
)

// String returns the problem on one line: the line, the pool, the path, the message, each where there is one.
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

// Problems is the error of a document that was refused: everything that is wrong with it.
type Problems struct {
	// List is in the order of the document, and never empty.
	List []Problem
}

// maxShown is how many problems Error shows: enough for anyone who mends a document, and no megabytes for a log.
const maxShown = 100

// Error returns the problems, one on a line: at most the first 100, then the number of the others.
func (p *Problems) Error() string {
	if more := len(p.List) - maxShown; more > 0 {
		return fmt.Sprintf("%s\nand %d more problems", joinLines(p.List[:maxShown]), more)
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

// place is where something stands in the document.
type place struct {
	line int
	pool string
	path string
}

// key is the place of the value of a key in the mapping at p.
func (p place) key(name string, line int) place {
	name = shortened(name)
	if p.path != "" {
		name = p.path + "." + name
	}
	return place{line: line, pool: p.pool, path: name}
}

// item is the place of the i-th item, from 0, of the list at p.
func (p place) item(i, line int) place {
	return place{line: line, pool: p.pool, path: fmt.Sprintf("%s[%d]", p.path, i)}
}

func (p place) problem(message string) Problem {
	return Problem{Line: p.line, Pool: p.pool, Path: p.path, Message: shortened(message)}
}

// maxMessage is the length of the longest message of a problem, in characters, and keptEnds the part of a longer message
// that stays at each end. A message repeats what the user wrote, and the document may be a file that should be kept
// secret.
const (
	maxMessage = 500
	keptEnds   = 100
)

// shortened returns message, without its middle if it is too long.
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

// findings gathers what is found in one document, so that all of it is reported at once.
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

// inOrder sorts by line; what stands on one line stays in the order in which it was found.
func inOrder(list []Problem) []Problem {
	slices.SortStableFunc(list, func(a, b Problem) int { return a.Line - b.Line })
	return list
}
