package layer2_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/pkg/layer2"
)

// frameVariable names the environment variable with the frame, in hexadecimal digits, for the role "send".
const frameVariable = "LANLORD_LAYER2_TEST_FRAME"

// roleVariable names the environment variable with the role of the test binary when a test starts the binary again in a
// network namespace.
const roleVariable = "LANLORD_LAYER2_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "node":
		os.Exit(exitStatus(runNode(nil)))
	case "cautious":
		os.Exit(exitStatus(runNode(func() { fmt.Println("stood") })))
	case "send":
		os.Exit(exitStatus(sendFrame(os.Getenv(frameVariable))))
	case "listen":
		os.Exit(exitStatus(listenTCP()))
	case "solicit":
		os.Exit(exitStatus(solicitPlainly(os.Getenv("LANLORD_LAYER2_TEST_TARGET"))))
	}
	os.Exit(m.Run())
}

func exitStatus(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// runNode runs an announcer until its standard input ends. Each input line is a whole set of addresses, with a question
// mark before each address to watch; or a command:
//
//	ping             answer pings
//	ranges FROM TO   set the ranges, any number of pairs
//	rate N           set the rate
//	gateways         print the gateways of each interface
//	resume           resume after a stall
//	quiet            send no refreshes
//	host             print the kernel's addresses and all hardware addresses
//	node ADDRESS     set the address of the Node
//	proxied ADDRESS  print the results of Proxied and ProxyAnswers
//	probe ADDRESS    probe the address and print the finding
//	path MAC ADDRESS:PORT QUESTIONS CERTAIN WAIT
//	                 probe the path through the station, and print the finding
//
// runNode prints "set" after applying a set, ranges, a rate, "resume", "quiet" or "node", "ready" when the announcer is
// ready, and a line for each claim.
func runNode(stood func()) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	wake := make(chan struct{}, 1)
	a := layer2.New(layer2.Options{
		Log:   slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})),
		Heard: func(c layer2.Claim) { fmt.Println("heard", c.Addr, c.MAC, c.Interface, c.Form) },
		Stood: stood,
		Wake: func() {
			select {
			case wake <- struct{}{}:
			default:
			}
		},
	})
	go func() {
		defer stop()
		lines := bufio.NewScanner(os.Stdin)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			switch verb, rest, _ := strings.Cut(lines.Text(), " "); verb {
			case "ping":
				a.SetPing(true)
			case "resume":
				a.Resume(a.Standstills())
				fmt.Println("set")
			case "ranges":
				a.SetRanges(parseRanges(rest))
				fmt.Println("set")
			case "gateways":
				for _, i := range a.Interfaces() {
					fmt.Println("gateways of", i.Name, i.Gateways)
				}
			case "rate":
				frames, err := strconv.Atoi(rest)
				if err != nil {
					panic(err)
				}
				a.SetRate(frames)
				fmt.Println("set")
			case "quiet":
				a.SetRefresh(-1)
				fmt.Println("set")
			case "node":
				a.SetNodeAddrs([]netip.Addr{netip.MustParseAddr(rest)})
				fmt.Println("set")
			case "host":
				fmt.Println("host", a.KernelAddrs(), a.MACs())
			case "proxied":
				addr := netip.MustParseAddr(rest)
				fmt.Println("proxied", addr, a.Proxied(addr), a.ProxyAnswers(addr))
			case "probe":
				go printProbe(ctx, a, netip.MustParseAddr(rest))
			case "path":
				go printPath(ctx, a, rest)
			default:
				a.Set(parseTargets(lines.Text()))
				fmt.Println("set")
			}
		}
	}()
	go func() {
		for range wake {
			if a.Ready() {
				fmt.Println("ready")
				return
			}
		}
	}()
	return a.Run(ctx)
}

// sendFrame sends the frame in text, in hexadecimal digits.
func sendFrame(text string) error {
	frame, err := hex.DecodeString(text)
	if err != nil {
		return err
	}
	ifi, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	conn, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_LOOP, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]})
	return err
}

func parseTargets(line string) (targets []layer2.Target) {
	for text := range strings.FieldsSeq(line) {
		mode := layer2.Answer
		if rest, ok := strings.CutPrefix(text, "?"); ok {
			mode, text = layer2.Watch, rest
		}
		targets = append(targets, layer2.Target{Addr: netip.MustParseAddr(text), Mode: mode})
	}
	return targets
}

// parseRanges reads pairs of addresses.
func parseRanges(line string) (ranges []layer2.Range) {
	for pair := range slices.Chunk(strings.Fields(line), 2) {
		ranges = append(ranges, layer2.Range{From: netip.MustParseAddr(pair[0]), To: netip.MustParseAddr(pair[1])})
	}
	return ranges
}

func printProbe(ctx context.Context, a *layer2.Announcer, addr netip.Addr) {
	began := time.Now()
	f, err := a.Probe(ctx, addr, layer2.ProbeOptions{Linger: 20 * time.Millisecond})
	fmt.Println("probed", addr, f.Outcome, f.Heard, f.Asked, err, "after", time.Since(began))
}

// solicitPlainly sends a solicitation to the address itself, without the option with the source's hardware address, as
// many routers do to confirm a neighbour, and waits for the answer.
func solicitPlainly(text string) error {
	target, err := netip.ParseAddr(text)
	if err != nil {
		return err
	}
	ifi, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	conn, _, err := ndp.Listen(ifi, ndp.LinkLocal)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if err := conn.WriteTo(&ndp.NeighborSolicitation{TargetAddress: target}, nil, target); err != nil {
		return err
	}
	for {
		m, _, _, err := conn.ReadFrom()
		if err != nil {
			return err
		}
		if na, ok := m.(*ndp.NeighborAdvertisement); ok && na.TargetAddress == target && na.Solicited && na.Override && len(na.Options) == 1 {
			return nil
		}
	}
}
