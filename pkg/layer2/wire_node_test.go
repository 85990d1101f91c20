package layer2_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ndp"

	"github.com/lanlord/lanlord/pkg/layer2"
)

// roleVariable says what the test binary does instead of testing, when a test starts it again in a network namespace.
const roleVariable = "LANLORD_LAYER2_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "node":
		os.Exit(exitStatus(runNode()))
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

// runNode runs an announcer until its standard input ends. Each line there is a whole set of addresses. It prints "set" when
// it has passed one on, "ready" when the announcer is, and what is heard.
func runNode() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	wake := make(chan struct{}, 1)
	a := layer2.New(layer2.Options{
		Log:   slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})),
		Heard: func(c layer2.Claim) { fmt.Println("heard", c.Addr, c.MAC, c.Interface, c.Form) },
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
			var targets []layer2.Target
			for text := range strings.FieldsSeq(lines.Text()) {
				targets = append(targets, layer2.Target{Addr: netip.MustParseAddr(text)})
			}
			a.Set(targets)
			fmt.Println("set")
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

// solicitPlainly sends a solicitation to the address itself, without the option that says where it came from, as many
// routers confirm a neighbour, and waits for the answer.
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
