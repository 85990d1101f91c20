// Command probe judges a load balancer from the host it runs on, and prints a
// report in JSON; see package probe.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/lanlord/lanlord/e2e/command"
	"github.com/lanlord/lanlord/e2e/probe"
)

const usage = `usage: probe arp ADDRESS [flags]       who answers ARP requests for an IPv4 address
       probe ndp ADDRESS [flags]       who answers neighbour solicitations for an IPv6 address
       probe http URL [flags]          requests at a fixed rate, each on a new connection
       probe udp HOST:PORT [flags]     datagrams at a fixed rate, which are to come back
       probe stream HOST:PORT [flags]  connections that last, with lines that are to come back
probe COMMAND -h lists the flags`

func main() {
	command.Main(func(ctx context.Context, args []string, stdout, _ io.Writer) error {
		return run(ctx, args, os.Stdin, stdout)
	})
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) < 2 {
		return errors.New(usage)
	}
	command, target, flags := args[0], args[1], args[2:]
	if strings.HasPrefix(target, "-") { // no target: the list of flags is wanted
		target, flags = "", []string{"-h"}
	}
	var report any
	var err error
	switch command {
	case "arp", "ndp":
		report, err = neighbours(ctx, command, target, flags)
	case "http":
		report, err = traffic(ctx, probe.HTTP, probe.Load{URL: target}, command, flags, stdin)
	case "udp":
		report, err = traffic(ctx, probe.Datagrams, probe.Load{Target: target}, command, flags, stdin)
	case "stream":
		report, err = streams(ctx, target, flags, stdin)
	default:
		return errors.New(usage)
	}
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}

func neighbours(ctx context.Context, command, target string, args []string) (probe.Neighbours, error) {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	var s probe.Schedule
	ifname := flags.String("interface", "eth0", "interface to ask on")
	flags.IntVar(&s.Count, "count", 3, "questions")
	flags.DurationVar(&s.Interval, "interval", 100*time.Millisecond, "between two questions")
	flags.DurationVar(&s.Wait, "wait", 500*time.Millisecond, "for answers after the last question")
	flags.BoolVar(&s.UntilAnswered, "until-answered", false, "end with the first answer")
	if err := flags.Parse(args); err != nil {
		return probe.Neighbours{}, err
	}
	address, err := netip.ParseAddr(target)
	if err != nil {
		return probe.Neighbours{}, err
	}
	if address.Is4() != (command == "arp") {
		return probe.Neighbours{}, fmt.Errorf("%s does not ask for %s", command, address)
	}
	return probe.Ask(ctx, *ifname, address, s)
}

type sender func(context.Context, probe.Load) (probe.Traffic, error)

func traffic(ctx context.Context, send sender, load probe.Load, command string, args []string, stdin io.Reader) (probe.Traffic, error) {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.DurationVar(&load.Every, "every", 5*time.Millisecond, "between the starts of two")
	flags.DurationVar(&load.Timeout, "timeout", 250*time.Millisecond, "of one, connection included")
	flags.DurationVar(&load.For, "for", 0, "how long; 0 is until SIGTERM")
	untilEOF := flags.Bool("until-eof", false, "end also with the end of standard input")
	if err := flags.Parse(args); err != nil {
		return probe.Traffic{}, err
	}
	ctx, cancel := until(ctx, *untilEOF, stdin)
	defer cancel()
	return send(ctx, load)
}

func streams(ctx context.Context, target string, args []string, stdin io.Reader) (probe.Streams, error) {
	flags := flag.NewFlagSet("stream", flag.ContinueOnError)
	talk := probe.Talk{Target: target}
	flags.IntVar(&talk.Connections, "connections", 10, "to keep open")
	flags.DurationVar(&talk.Every, "every", 50*time.Millisecond, "between two lines of a connection")
	flags.DurationVar(&talk.Timeout, "timeout", 5*time.Second, "for a connection, and for a line to come back")
	flags.DurationVar(&talk.For, "for", 0, "how long; 0 is until SIGTERM")
	untilEOF := flags.Bool("until-eof", false, "end also with the end of standard input")
	if err := flags.Parse(args); err != nil {
		return probe.Streams{}, err
	}
	ctx, cancel := until(ctx, *untilEOF, stdin)
	defer cancel()
	return probe.Stream(ctx, talk)
}

// until returns a context that ends with the input, if it is to: signals do not pass through docker exec, but the end of its
// input does.
func until(ctx context.Context, eof bool, stdin io.Reader) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if eof {
		go func() {
			defer cancel()
			_, _ = io.Copy(io.Discard, stdin)
		}()
	}
	return ctx, cancel
}
