// Package chapter goes the way of a book's chapter on exposing applications, as docs/chapter.md tells it: a test for each
// section, which runs the section's commands on a host outside the cluster, and looks at what comes of them.
package chapter

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/lanlord/lanlord/e2e/lab"
)

const page = "../../docs/chapter.md"

// sections are those in which a reader does something, each with its test. The first is for all of them.
var sections = []struct {
	title string
	test  func(*reader)
}{
	{"NodePort", nodePort},
	{"Ingress", ingress},
	{"LoadBalancer", loadBalancer},
	{"Autoscaling", autoscaling},
}

const (
	installSection = "Install"
	removeSection  = "Afterwards"
)

func TestMain(m *testing.M) {
	if err := lab.Check(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestChapter reads the page from its beginning to its end; -run TestChapter/NodePort reads that section alone.
func TestChapter(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	blocks := commandBlocks(string(text))
	checkTitles(t, blocks)

	l := lab.Open(t)
	r := newReader(t, l, blocks[installSection])
	install(r)
	r.done()
	for _, section := range sections {
		t.Run(section.title, func(t *testing.T) {
			r := r.section(t, blocks[section.title])
			section.test(r)
			r.done()
		})
	}
	r.blocks = blocks[removeSection]
	remove(r)
}

// checkTitles fails the test unless it has a part for each section of the page that has commands.
func checkTitles(t *testing.T, blocks map[string][]string) {
	t.Helper()
	want := []string{installSection, removeSection}
	for _, section := range sections {
		want = append(want, section.title)
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(blocks)); !slices.Equal(got, want) {
		t.Fatalf("%s has commands in the sections %q, and there are tests for %q", page, got, want)
	}
}
