package vm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/lanlord/lanlord/e2e/vm/agent"
)

const (
	qemu = "qemu-system-x86_64"

	// bootLimit bounds the start of a machine, which takes five seconds on an idle machine without KVM.
	bootLimit = 3 * time.Minute
	// commandLimit bounds a command in the machine.
	commandLimit = 2 * time.Minute
	// speed is the speed of the ports in Mbit/s. LACP needs to know one.
	speed = 10000
	// ownTime limits a step of QEMU itself.
	ownTime = 30 * time.Second
)

// Options say what a Machine is made of.
type Options struct {
	// Name is the name of the machine in errors, at most eight letters.
	Name string
	// Number makes the hardware addresses of the ports: 0 to 255.
	Number int
	// Kernel is the folder that kernel.sh prints, and Initrd the file that [Image.Write] has written.
	Kernel, Initrd string
	// Accelerator is the result of [Accelerator].
	Accelerator string
	// Memory is the size in MiB, and CPUs the number of CPUs.
	Memory, CPUs int
	// Dir is an existing folder for the console's log and for sockets. Its path is short: 80 letters at most.
	Dir string
	// Ports are the network cards, eth0 and so on in this order.
	Ports []Port
}

// Port is a network card.
type Port struct {
	// Bridge is the name of the bridge of this network namespace that the port is in. Empty for a cable.
	Bridge string
	// Cable is the path of the socket at this end of a cable between two machines, and Far the path at the other end.
	Cable, Far string
}

// Machine is a virtual machine that runs. Several goroutines may call the methods.
type Machine struct {
	options Options
	cmd     *exec.Cmd
	ended   chan struct{}
	monitor *monitor
	client  *agent.Client
	streams []net.Conn
}

// Start starts a machine and waits until the machine takes commands.
func Start(ctx context.Context, o Options) (*Machine, error) {
	m := &Machine{options: o, ended: make(chan struct{})}
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	for _, step := range []func(context.Context) error{m.plug, m.launch, m.connect, m.greet} {
		if err := step(ctx); err != nil {
			err = fmt.Errorf("start the machine %s: %w\n%s", o.Name, err, m.Console())
			m.Close()
			return nil, err
		}
	}
	return m, nil
}

// MAC returns the hardware address of a port.
func (o Options) MAC(port int) string { return fmt.Sprintf("02:4c:4c:00:%02x:%02x", o.Number, port) }

func (o Options) tap(port int) string { return fmt.Sprintf("%s-%d", o.Name, port) }

func (o Options) file(name string) string { return filepath.Join(o.Dir, o.Name+"."+name) }

// plug makes the ports' ends in the bridges.
func (m *Machine) plug(context.Context) error {
	for i, p := range m.options.Ports {
		if p.Bridge == "" {
			continue
		}
		if err := addTap(m.options.tap(i), p.Bridge); err != nil {
			return err
		}
	}
	return nil
}

// addTap makes a tap that lives until it is deleted, in a bridge.
func addTap(name, bridge string) error {
	master, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("find the bridge %s: %w", bridge, err)
	}
	tap := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: name, MTU: master.Attrs().MTU}, Mode: netlink.TUNTAP_MODE_TAP,
		Flags: netlink.TUNTAP_VNET_HDR | netlink.TUNTAP_NO_PI}
	if err := netlink.LinkAdd(tap); err != nil {
		return fmt.Errorf("make the port %s: %w", name, err)
	}
	if err := errors.Join(netlink.LinkSetMaster(tap, master), netlink.LinkSetUp(tap)); err != nil {
		return fmt.Errorf("put the port %s into the bridge %s: %w", name, bridge, err)
	}
	return nil
}

// launch starts QEMU.
func (m *Machine) launch(context.Context) error {
	o := m.options
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "pc", "-accel", o.Accelerator, "-cpu", "max",
		"-m", fmt.Sprint(o.Memory), "-smp", fmt.Sprint(o.CPUs),
		"-kernel", filepath.Join(o.Kernel, "vmlinuz"), "-initrd", o.Initrd, "-append", "console=ttyS0 panic=-1 quiet net.ifnames=0",
		"-serial", "file:" + o.file("console"),
		"-qmp", "unix:" + o.file("qmp") + ",server=on,wait=off",
		"-device", "virtio-serial-pci", "-chardev", "socket,id=agent,server=on,wait=off,path=" + o.file("agent"),
		"-device", "virtserialport,chardev=agent,name=agent",
	}
	for i := range o.Ports {
		args = append(args, "-netdev", o.netdev(i), "-device", fmt.Sprintf("virtio-net-pci,id=card%d,netdev=port%d,mac=%s,speed=%d,duplex=full", i, i, o.MAC(i), speed))
	}
	m.cmd = exec.Command(qemu, args...)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	log, err := os.Create(o.file("qemu"))
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	m.cmd.Stdout, m.cmd.Stderr = log, log
	if err := m.cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = m.cmd.Wait() // the log has the reason
		close(m.ended)
	}()
	return nil
}

func (o Options) netdev(port int) string {
	if p := o.Ports[port]; p.Bridge == "" {
		return fmt.Sprintf("dgram,id=port%d,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s", port, p.Cable, p.Far)
	}
	return fmt.Sprintf("tap,id=port%d,ifname=%s,script=no,downscript=no", port, o.tap(port))
}

// connect connects to QEMU and to the port of the agent.
func (m *Machine) connect(ctx context.Context) error {
	control, err := m.dial(ctx, "qmp")
	if err != nil {
		return err
	}
	if m.monitor, err = newMonitor(control); err != nil {
		return fmt.Errorf("speak to QEMU: %w", err)
	}
	stream, err := m.dial(ctx, "agent")
	if err != nil {
		return err
	}
	m.client = agent.NewClient(stream)
	return nil
}

// dial connects to a socket that QEMU makes at its start.
func (m *Machine) dial(ctx context.Context, name string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, ownTime)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", m.options.file(name))
		if err == nil {
			m.streams = append(m.streams, conn)
			return conn, nil
		}
		select {
		case <-m.ended:
			return nil, fmt.Errorf("QEMU has ended: %w", err)
		case <-ctx.Done():
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// greet waits for the first answer of the agent.
func (m *Machine) greet(ctx context.Context) error {
	answered := make(chan error, 1)
	go func() {
		_, err := m.client.Do(ctx, agent.Request{Run: &agent.Run{Args: []string{"true"}, Limit: commandLimit}})
		answered <- err
	}()
	select {
	case err := <-answered:
		return err
	case <-m.ended:
		return errors.New("QEMU has ended")
	}
}

// Run has a shell run the commands, and returns what they print. The first command that fails ends the script.
func (m *Machine) Run(ctx context.Context, script string) (string, error) {
	a, err := m.client.Do(ctx, agent.Request{Run: &agent.Run{Args: []string{"/bin/dash", "-ec", script}, Limit: commandLimit}})
	if err == nil && a.Code != 0 {
		err = fmt.Errorf("exit status %d", a.Code)
	}
	if err != nil {
		return string(a.Output), fmt.Errorf("on %s: %w\n%s\n%s", m.options.Name, err, script, a.Output)
	}
	return strings.TrimSpace(string(a.Output)), nil
}

// StartProgram starts a program that goes on. Its log in the machine is /var/log/NAME.
func (m *Machine) StartProgram(ctx context.Context, name string, env []string, args ...string) error {
	_, err := m.client.Do(ctx, agent.Request{Start: &agent.Start{Name: name, Args: args, Env: env, Log: "/var/log/" + name}})
	return err
}

// Signal sends a signal to a program that StartProgram has started. With wait, Signal returns after the end of the
// program.
func (m *Machine) Signal(ctx context.Context, name string, s syscall.Signal, wait bool) error {
	_, err := m.client.Do(ctx, agent.Request{Kill: &agent.Kill{Name: name, Signal: int(s), Wait: wait}})
	return err
}

// Put writes a file in the machine.
func (m *Machine) Put(ctx context.Context, path string, data []byte, mode os.FileMode) error {
	_, err := m.client.Do(ctx, agent.Request{Put: &agent.Put{Path: path, Data: data, Mode: uint32(mode)}})
	return err
}

// Get reads a file of the machine.
func (m *Machine) Get(ctx context.Context, path string) ([]byte, error) {
	a, err := m.client.Do(ctx, agent.Request{Get: &agent.Get{Path: path}})
	return a.Output, err
}

// Carrier switches the carrier of a port off or on.
func (m *Machine) Carrier(port int, on bool) error {
	return m.monitor.do("set_link", map[string]any{"name": fmt.Sprintf("card%d", port), "up": on})
}

// Pause stops the CPUs and the clock of the machine, as a live migration or a snapshot does. Continue ends the pause.
func (m *Machine) Pause() error { return m.monitor.do("stop", nil) }

// Continue ends a Pause.
func (m *Machine) Continue() error { return m.monitor.do("cont", nil) }

// Pull pulls the card of a port out, and waits until the kernel has let go of the card.
func (m *Machine) Pull(port int) error {
	card := fmt.Sprintf("card%d", port)
	if err := m.monitor.do("device_del", map[string]any{"id": card}); err != nil {
		return err
	}
	for end := time.Now().Add(ownTime); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		cards, err := m.monitor.ask("qom-list", map[string]any{"path": "/machine/peripheral"})
		if err != nil || !strings.Contains(string(cards), fmt.Sprintf("%q", card)) {
			return err
		}
	}
	return fmt.Errorf("%s still has %s after %v", m.options.Name, card, ownTime)
}

// Insert puts a card in that Pull has pulled out.
func (m *Machine) Insert(port int) error {
	return m.monitor.do("device_add", map[string]any{
		"driver": "virtio-net-pci", "id": fmt.Sprintf("card%d", port), "netdev": fmt.Sprintf("port%d", port), "mac": m.options.MAC(port),
		"speed": speed, "duplex": "full",
	})
}

// Console returns the end of what the kernel and QEMU have written.
func (m *Machine) Console() string {
	const most = 4096
	var text strings.Builder
	for _, name := range []string{"qemu", "console"} {
		data, err := os.ReadFile(m.options.file(name))
		if err != nil {
			data = []byte(err.Error())
		}
		fmt.Fprintf(&text, "%s: %s\n", name, data[max(0, len(data)-most):])
	}
	return text.String()
}

// Kill ends the machine at once, as a loss of power does. The other ends of the ports go with it.
func (m *Machine) Kill() {
	if m.cmd != nil && m.cmd.Process != nil {
		_ = m.cmd.Process.Kill() // it may just have ended
		<-m.ended
	}
	for i, p := range m.options.Ports {
		if p.Bridge == "" {
			continue
		}
		if tap, err := netlink.LinkByName(m.options.tap(i)); err == nil {
			_ = netlink.LinkDel(tap) // the namespace ends with the test
		}
	}
}

// Close kills the machine and removes what is left of it.
func (m *Machine) Close() {
	m.Kill()
	for _, s := range m.streams {
		_ = s.Close()
	}
}
