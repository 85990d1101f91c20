// Package processors gives this process one processor at rest, and all of its processors while there is work.
package processors
