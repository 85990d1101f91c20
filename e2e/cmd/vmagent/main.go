// Command vmagent runs in a virtual machine of the tests, as its first process, and does what the other end of a
// virtio-serial port asks for.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/lanlord/lanlord/e2e/vm/agent"
)

// appearance is the longest wait for the port, whose driver starts at the same time.
const appearance = 30 * time.Second

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "vmagent:", err)
		os.Exit(1)
	}
}

// run serves the port until the port fails.
func run(device string) error {
	for end := time.Now().Add(appearance); ; time.Sleep(10 * time.Millisecond) {
		port, err := os.OpenFile(device, os.O_RDWR, 0)
		if err == nil {
			return agent.Serve(port)
		}
		if time.Now().After(end) {
			return err
		}
	}
}
