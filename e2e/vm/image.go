package vm

import (
	"bufio"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Image describes the archive in the memory of a machine at the start.
type Image struct {
	// Kernel is the folder that kernel.sh prints.
	Kernel string
	// Agent is the path of the program vmagent.
	Agent string
	// Modules lists modules that the machine may load, such as "bonding". The archive also has the modules needed by these.
	Modules []string
	// ModuleTrees are folders below kernel/ whose modules the archive has too, such as "net/netfilter". The kernel loads
	// them when a program needs them.
	ModuleTrees []string
	// Programs are paths of programs on this machine, which the virtual machine has by the same paths, with the
	// libraries that they need.
	Programs []string
	// Files maps the paths of further files in the virtual machine to paths here. The modes stay the same.
	Files map[string]string
}

// basics are the modules of every machine.
var basics = []string{"virtio_pci", "virtio_net", "virtio_console"}

// start is the first program. The kernel has not mounted anything yet.
const start = `#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /etc /root /var/log
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
mount -t tmpfs run /run
mount -t cgroup2 cgroup /sys/fs/cgroup
echo 127.0.0.1 localhost >/etc/hosts
modprobe -a ` + "%s" + `
ip link set lo up
exec /bin/vmagent /dev/vport0p1
`

// Write writes the archive with the files.
func (i Image) Write(file string) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	a := newArchive(w)
	a.add("init", modeRegular|0o755, fmt.Appendf(nil, start, strings.Join(basics, " ")))
	a.add("root/.keep", modeRegular|0o644, nil)
	a.link("sbin/modprobe", "/bin/busybox")
	files := map[string]string{"/bin/busybox": "/bin/busybox", "/bin/vmagent": i.Agent}
	for path, from := range i.Files {
		files[path] = from
	}
	for _, add := range []func(map[string]string) error{i.modules, i.programs} {
		if err := add(files); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(func(yield func(string) bool) {
		for p := range files {
			if !yield(p) {
				return
			}
		}
	}) {
		if err := copyInto(a, path, files[path]); err != nil {
			return err
		}
	}
	if err := a.close(); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return w.Flush()
}

func copyInto(a *archive, path, from string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err == nil {
		a.add(strings.TrimPrefix(path, "/"), modeRegular|int(info.Mode().Perm()), data)
	}
	return err
}

// modules adds the files of the modules. depmod has written the names of what each one needs into modules.dep. A module
// that is not there is part of the kernel itself, or modules.builtin does not name it.
func (i Image) modules(files map[string]string) error {
	found, err := filepath.Glob(filepath.Join(i.Kernel, "lib", "modules", "*"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("%s has the modules of %d kernels: %w", i.Kernel, len(found), err)
	}
	dir := found[0]
	needs, builtin := map[string][]string{}, map[string]bool{}
	err = lines(filepath.Join(dir, "modules.dep"), func(line string) {
		file, needed, _ := strings.Cut(line, ":")
		needs[moduleName(file)] = append([]string{file}, strings.Fields(needed)...)
	})
	if err == nil {
		err = lines(filepath.Join(dir, "modules.builtin"), func(line string) { builtin[moduleName(line)] = true })
	}
	if err != nil {
		return err
	}
	add := func(name string) {
		files["/lib/modules/"+filepath.Base(dir)+"/"+name] = filepath.Join(dir, name)
	}
	for _, tree := range i.ModuleTrees {
		found := false
		for _, files := range needs {
			if strings.HasPrefix(files[0], "kernel/"+tree+"/") {
				found = true
				for _, file := range files {
					add(file)
				}
			}
		}
		if !found {
			return fmt.Errorf("%s has no modules below %s", i.Kernel, tree)
		}
	}
	for _, module := range slices.Concat(basics, i.Modules) {
		if needs[module] == nil && !builtin[module] {
			return fmt.Errorf("%s has no module %s", i.Kernel, module)
		}
		for _, file := range needs[module] {
			add(file)
		}
	}
	for _, list := range []string{"modules.dep", "modules.alias", "modules.builtin", "modules.softdep", "modules.symbols"} {
		add(list)
	}
	return nil
}

// moduleName returns the name in the form with underscores: kernel/net/8021q/8021q.ko is 8021q.
func moduleName(file string) string {
	return strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".ko"), "-", "_")
}

func lines(file string, f func(string)) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		f(strings.TrimSpace(line))
	}
	return nil
}

// programs adds the programs with their libraries, as the dynamic loader finds them here.
func (i Image) programs(files map[string]string) error {
	// The shell of busybox runs the ip of busybox instead of iproute2, regardless of PATH.
	for _, program := range append([]string{"/bin/dash"}, i.Programs...) {
		files[program] = program
		binary, err := elf.Open(program)
		if err != nil {
			return fmt.Errorf("read %s: %w", program, err)
		}
		needed, err := binary.ImportedLibraries()
		_ = binary.Close() // only read
		if err != nil {
			return fmt.Errorf("read %s: %w", program, err)
		}
		if len(needed) == 0 {
			continue
		}
		out, err := exec.Command("ldd", program).Output()
		if err != nil {
			return fmt.Errorf("look for the libraries of %s: %w", program, err)
		}
		for line := range strings.Lines(string(out)) {
			for _, word := range strings.Fields(line) {
				if strings.HasPrefix(word, "/") {
					files[word] = word
				}
			}
		}
	}
	return nil
}
