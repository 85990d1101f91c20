// Package page serves a status as an HTML page for people and as JSON: one page for the controller and one for a
// speaker, with the same design.
//
// The server renders the pages, and the pages work without JavaScript. With JavaScript, a short script fetches the page
// again every two seconds and replaces the main part. A page loads nothing from other hosts and can change nothing. A
// Content-Security-Policy allows the style and the script of the page only.
package page
