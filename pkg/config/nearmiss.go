package config

import "strings"

// Nearest returns the name that the author of word probably meant: a name that is equal except for case and separators,
// or at most two letters away. Nearest returns "" if no name is near.
func Nearest(word string, names []string) string {
	best, bestDistance := "", 3
	folded := fold(word)
	for _, name := range names {
		candidate := fold(name)
		d := distance(folded, candidate)
		// In a short name, two different letters are too many for a typing error.
		if d < bestDistance && d*3 <= len(candidate) {
			best, bestDistance = name, d
		}
	}
	return best
}

var separators = strings.NewReplacer("-", "", "_", "", " ", "")

func fold(word string) string { return separators.Replace(strings.ToLower(word)) }

// distance returns the number of letters to insert, remove or replace to turn a into b (Levenshtein). For words with a
// difference in length of more than two, distance returns 3 without a comparison.
func distance(a, b string) int {
	if d := len(a) - len(b); d > 2 || d < -2 {
		return 3
	}
	previous := make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := range len(a) {
		diagonal := previous[0]
		previous[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = previous[j+1]
			previous[j+1] = min(replaced, previous[j]+1, diagonal+1)
		}
	}
	return previous[len(b)]
}
