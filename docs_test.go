package lanlord_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	pageLink  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codeBlock = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	heading   = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	linkText  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	dropped   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestLinks follows each link between the pages of the repository to a file, and to a heading if the link names one.
func TestLinks(t *testing.T) {
	pages := markdownPages(t)
	if len(pages) < 40 {
		t.Fatalf("found %d pages; the test looks in the wrong place", len(pages))
	}
	links := 0
	for _, page := range pages {
		for _, match := range pageLink.FindAllStringSubmatch(codeBlock.ReplaceAllString(readPage(t, page), ""), -1) {
			link, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(link, ":") {
				continue // another host
			}
			links++
			target := page
			if link != "" {
				target = filepath.Join(filepath.Dir(page), link)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, match[1])
			} else if anchor != "" && !slices.Contains(anchors(readPage(t, target)), anchor) {
				t.Errorf("%s links to %s, and the page has no such heading", page, match[1])
			}
		}
	}
	if links < 200 {
		t.Errorf("found %d links; the test does not see them", links)
	}
}

// anchors returns the anchors of a page's headings, as GitHub derives them from the text.
func anchors(text string) (list []string) {
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		title := strings.ToLower(linkText.ReplaceAllString(strings.TrimSpace(match[1]), "$1"))
		list = append(list, strings.ReplaceAll(dropped.ReplaceAllString(title, ""), " ", "-"))
	}
	return list
}

func markdownPages(t *testing.T) (pages []string) {
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && slices.Contains([]string{".git", "bin", "dist"}, path) {
			return fs.SkipDir
		}
		if err == nil && strings.HasSuffix(path, ".md") {
			pages = append(pages, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

func readPage(t *testing.T, path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestMakeTargets looks up each make command of the pages in the Makefile, with the values of WHAT and ON.
func TestMakeTargets(t *testing.T) {
	makefile := readPage(t, "Makefile")
	command := regexp.MustCompile("(?m)(?:^    |`)make ([a-z][a-z0-9-]*)([^`\n]*)")
	value := regexp.MustCompile(`\b(WHAT|ON)=([a-z]+)`)
	found := map[string]bool{}
	for _, page := range markdownPages(t) {
		for _, match := range command.FindAllStringSubmatch(readPage(t, page), -1) {
			if found[match[1]] = true; !strings.Contains(makefile, "\n"+match[1]+":") {
				t.Errorf("%s: there is no target %s in the Makefile", page, match[1])
			}
			for _, v := range value.FindAllStringSubmatch(match[2], -1) {
				if !strings.Contains(makefile, "\ndefine "+match[1]+"_"+v[2]+"\n") {
					t.Errorf("%s: make %s knows no %s=%s", page, match[1], v[1], v[2])
				}
			}
		}
	}
	if len(found) < 12 || !found["bench"] || !found["demo"] {
		t.Errorf("found the commands %v; the test does not see them", found)
	}
}
