// Package page shows a status to people: one page for the controller and one for a speaker, of one look, and the same as JSON.
//
// The pages are made on the server and work without JavaScript. Where there is JavaScript, a script of a screenful fetches the page again
// every two seconds and puts its main part in the place of the old one. Nothing is loaded from elsewhere, nothing can be changed
// through a page, and a Content-Security-Policy allows the page's own style and script and nothing else.
package page
