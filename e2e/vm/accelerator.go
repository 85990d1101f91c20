package vm

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// trial bounds the boot of a kernel for the trial of KVM. Without a first program the kernel panics after a second.
const trial = 20 * time.Second

// Accelerator returns "kvm" if a kernel really boots under KVM, and "tcg" otherwise. On some machines /dev/kvm can be
// opened, and the first instructions of a virtual machine fail.
func Accelerator(ctx context.Context, kernel string) string {
	if kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); err != nil || kvm.Close() != nil {
		return "tcg"
	}
	ctx, cancel := context.WithTimeout(ctx, trial)
	defer cancel()
	heard := &console{end: cancel}
	cmd := exec.CommandContext(ctx, qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "pc", "-accel", "kvm",
		"-cpu", "max", "-m", "256", "-kernel", filepath.Join(kernel, "vmlinuz"), "-append", "console=ttyS0 panic=-1", "-serial", "stdio")
	cmd.Stdout, cmd.Stderr = heard, heard
	_ = cmd.Run() // what the kernel said decides
	if bytes.Contains(heard.text, []byte("Kernel panic")) {
		return "kvm"
	}
	return "tcg"
}

// console keeps what the kernel and QEMU write, and ends the trial when the result is clear.
type console struct {
	text []byte
	end  func()
}

// Write implements [io.Writer].
func (c *console) Write(b []byte) (int, error) {
	c.text = append(c.text, b...)
	for _, sign := range []string{"Kernel panic", "KVM internal error"} {
		if bytes.Contains(c.text, []byte(sign)) {
			c.end()
		}
	}
	return len(b), nil
}
