package reason

import (
	"fmt"
	"slices"
)

// word returns the entry of the table for v. For an unknown value, word returns the type and the number, because a log
// line must not panic.
func word[T ~uint8](table []string, v T) string {
	if int(v) < len(table) {
		return table[v]
	}
	return fmt.Sprintf("%T(%d)", v, uint8(v))
}

func parse[T ~uint8](table []string, text string) (T, bool) {
	i := slices.Index(table, text)
	return T(max(i, 0)), i >= 0
}

func all[T ~uint8](table []string) []T {
	values := make([]T, len(table))
	for i := range values {
		values[i] = T(i)
	}
	return values
}
