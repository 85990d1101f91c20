// Package browser drives the status pages in headless Chromium, as a user would see them.
package browser
