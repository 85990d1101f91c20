package chapter

import (
	"reflect"
	"strings"
	"testing"
)

// commandBlocks returns the commands of a page by the title of their section: whatever is indented by four spaces, in blocks that
// an empty line or other text ends.
func commandBlocks(text string) map[string][]string {
	blocks := map[string][]string{}
	var title string
	var block []string
	end := func() {
		if len(block) > 0 {
			blocks[title] = append(blocks[title], strings.Join(block, "\n"))
		}
		block = nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if command, ok := strings.CutPrefix(line, "    "); ok {
			block = append(block, command)
			continue
		}
		end()
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			title = heading
		}
	}
	end()
	return blocks
}

func TestCommandBlocks(t *testing.T) {
	got := commandBlocks(`# Title

## One

Text:

    a
      b

    c
Text.

## None

## Two
    d
`)
	want := map[string][]string{"One": {"a\n  b", "c"}, "Two": {"d"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("blocks %q, want %q", got, want)
	}
}
