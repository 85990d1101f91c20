package browser

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// patience is how long a page may take to show what it is to show, on a busy machine.
const patience = 2 * time.Minute

// Window is a tab of a browser of its own, which ends with the test.
type Window struct {
	ctx context.Context
	t   testing.TB

	mu sync.Mutex
	// complaints are the errors on the console, violations of the Content-Security-Policy among them.
	complaints []string
}

// program returns the path of Chromium.
func program() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("without Chromium, which the Debian package chromium has (make deps)")
}

// Open starts a browser with a window of this size, in CSS pixels.
func Open(t testing.TB, width, height int) *Window {
	t.Helper()
	path, err := program()
	if err != nil && os.Getenv("LANLORD_TOOLS") == "required" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(width, height),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("hide-scrollbars", true), chromedp.WSURLReadTimeout(patience),
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeTab := chromedp.NewContext(allocator)
	w := &Window{ctx: ctx, t: t}
	t.Cleanup(func() {
		closeTab()
		stop()
	})
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(int64(width), int64(height))); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	messages := chromedp.Console(ctx)
	go w.listen(messages)
	return w
}

// listen remembers what the browser complains of.
func (w *Window) listen(messages iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range messages {
		if err != nil {
			return
		}
		if m.IsException() || m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleWarning {
			w.mu.Lock()
			w.complaints = append(w.complaints, fmt.Sprintf("%s: %s (%s)", m.Type, m.Text, m.URL))
			w.mu.Unlock()
		}
	}
}

// Complaints returns the errors that the browser has shown on its console.
func (w *Window) Complaints() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.complaints)
}

// AwaitComplaint waits for an error that contains text on the console of the browser. Console and page are two streams of
// events: a change of the page may arrive before the error that caused the change.
func (w *Window) AwaitComplaint(text string) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		complaints := w.Complaints()
		if slices.ContainsFunc(complaints, func(s string) bool { return strings.Contains(s, text) }) {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("the browser complains of %q, and not of %q: its console is not heard", complaints, text)
		}
	}
}

// Do runs actions, and fails the test if they fail or take too long.
func (w *Window) Do(what string, actions ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

// Visit opens an address and returns how long it took until the page was there.
func (w *Window) Visit(url string) time.Duration {
	w.t.Helper()
	began := time.Now()
	w.Do("open "+url, chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS("main")))
	return time.Since(began)
}

// Type types text into the element that the CSS selector fits.
func (w *Window) Type(selector, text string) {
	w.t.Helper()
	w.Do("type "+text, chromedp.SendKeys(chromedp.CSS(selector), text))
}

// Eval runs JavaScript.
func (w *Window) Eval(expression string) {
	w.t.Helper()
	w.Do("run "+expression, chromedp.Evaluate[chromedp.Void](expression))
}

// Await waits until a JavaScript expression is true.
func (w *Window) Await(what, expression string) {
	w.t.Helper()
	w.Do("wait for "+what, chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(patience)))
}

// beyond lists what ends to the right of the window, innermost first, if the page can be scrolled that way.
const beyond = `(() => {
  const root = document.documentElement
  if (root.scrollWidth <= root.clientWidth) return []
  return [...document.querySelectorAll("body *")].reverse().filter(e => !e.closest("thead") && e.getBoundingClientRect().right > root.clientWidth).slice(0, 5)
    .map(e => e.tagName + "." + e.className + " ends at " + e.getBoundingClientRect().right + ": " + e.textContent.trim().slice(0, 40))
    .concat("the page is " + root.scrollWidth + " pixels wide, the window " + root.clientWidth)
})()`

// Overflow tells what makes the page wider than the window, nothing if it is not.
func (w *Window) Overflow() []string {
	w.t.Helper()
	wide, err := chromedp.Run(w.ctx, chromedp.Evaluate[[]string](beyond))
	if err != nil {
		w.t.Fatalf("measure the page: %v", err)
	}
	return wide
}

// Resize changes the size of the window, in CSS pixels.
func (w *Window) Resize(width, height int64) {
	w.t.Helper()
	w.Do("resize", chromedp.EmulateViewport(width, height))
}

// Shoot saves a picture of the whole page as NAME.png in the folder that the environment variable LANLORD_SCREENSHOTS names, if it does.
func (w *Window) Shoot(name string) {
	w.t.Helper()
	dir := os.Getenv("LANLORD_SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(w.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		w.t.Fatalf("take a picture: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// Scheme selects the color scheme that the browser asks pages for: light or dark.
func (w *Window) Scheme(scheme string) {
	w.t.Helper()
	w.Do("choose the scheme "+scheme, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// Texts runs JavaScript that lists texts.
func (w *Window) Texts(expression string) []string {
	w.t.Helper()
	list, err := chromedp.Run(w.ctx, chromedp.Evaluate[[]string](expression))
	if err != nil {
		w.t.Fatalf("run %s: %v", expression, err)
	}
	return list
}
