// Command runc-capwrap is an OCI runtime for a Docker engine on a machine that
// withholds capabilities, such as a virtual machine without CAP_SYS_RESOURCE.
//
// Docker asks for every capability with --privileged, and runc then fails with
// "unable to apply caps: operation not permitted". This wrapper takes out of the
// bundle's config.json (create, run) and of a process file (exec) what its own
// bounding set does not hold, and then executes the real runc with the same
// arguments. It grants nothing, and where nothing is withheld it changes nothing.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// capabilities by bit number, capabilities(7), without the CAP_ prefix.
const capabilities = `CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON
BPF CHECKPOINT_RESTORE`

func main() {
	err := run(os.Args[1:])
	fmt.Fprintln(os.Stderr, "runc-capwrap:", err)
	os.Exit(1)
}

// run returns only if something fails: otherwise runc takes the process over.
func run(args []string) error {
	runc, err := exec.LookPath("runc")
	if err != nil {
		return err
	}
	if file, inSpec := fileToRewrite(args); file != "" {
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			return err
		}
		held, err := boundingSet(string(status))
		if err != nil {
			return err
		}
		if err := rewrite(file, inSpec, held); err != nil {
			return err
		}
	}
	return fmt.Errorf("execute %s: %w", runc, syscall.Exec(runc, append([]string{runc}, args...), os.Environ()))
}

// fileToRewrite returns the file in which a runc command line names capabilities,
// and whether that is a whole specification or a process alone.
func fileToRewrite(args []string) (file string, inSpec bool) {
	for i, arg := range args {
		switch arg {
		case "create", "run":
			return filepath.Join(flagValue(args[i:], "bundle", "b"), "config.json"), true
		case "exec":
			return flagValue(args[i:], "process", "p"), false
		}
	}
	return "", false
}

// flagValue returns the value of a flag, or "" without it.
func flagValue(args []string, long, short string) string {
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--"+long+"="); ok {
			return value
		}
		if (arg == "--"+long || arg == "-"+short) && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

// boundingSet returns the names of the capabilities that /proc/self/status says can be held.
func boundingSet(status string) ([]string, error) {
	for line := range strings.Lines(status) {
		value, ok := strings.CutPrefix(line, "CapBnd:")
		if !ok {
			continue
		}
		bits, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil {
			return nil, err
		}
		var held []string
		for bit, name := range strings.Fields(capabilities) {
			if bits>>bit&1 == 1 {
				held = append(held, "CAP_"+name)
			}
		}
		return held, nil
	}
	return nil, errors.New("no CapBnd in /proc/self/status")
}

// rewrite removes from all capability sets of a file what is not held.
func rewrite(file string, inSpec bool, held []string) error {
	before, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	after, err := strip(before, inSpec, held)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, after, 0o600)
}

func strip(document []byte, inSpec bool, held []string) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber() // 64-bit numbers must survive
	var root map[string]any
	if err := decoder.Decode(&root); err != nil {
		return nil, err
	}
	process := root
	if inSpec {
		process, _ = root["process"].(map[string]any)
	}
	sets, _ := process["capabilities"].(map[string]any)
	for name, value := range sets {
		list, _ := value.([]any)
		sets[name] = slices.DeleteFunc(list, func(capability any) bool {
			text, _ := capability.(string)
			return !slices.Contains(held, text)
		})
	}
	return json.Marshal(root)
}
