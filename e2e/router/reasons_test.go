package router_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/e2e/router"
	"github.com/lanlord/lanlord/e2e/wire"
)

// TestReasons has sessions fail in several ways, and expects the reasons in the status of the speaker.
func TestReasons(t *testing.T) {
	t.Parallel()
	needs(t, router.FRR, router.BIRD, router.GoBGP)
	e := speakers(t, 2, "peers:\n"+
		router.Peer(4, "name: refused")+
		router.Peer(9, "name: nobody")+
		router.Peer(5, "name: wrong-password", `password: "one"`)+
		router.Peer(6, "name: no-password")+
		router.Peer(7, "name: wrong-asn")+
		router.Peer(8, "name: refuses-our-asn", "my-asn: 64999")+
		router.Peer(5, "name: other-speaker", `peer-address: "`+wire.StationAddresses(5)[1].Addr().String()+`"`)+
		router.Pool())
	node, node6 := wire.LANAddress(0).Addr(), wire.LANAddress6(0).Addr()
	_, err := e.NewStation(4)
	e.must(err)
	e.router(router.Options{Kind: router.FRR, Station: 5, ASN: routerASN, Neighbors: []router.Neighbor{
		{Address: node, ASN: nodeASN, Password: "other"}, {Address: node6, ASN: nodeASN}}})
	e.router(
		router.Options{
			Kind:      router.BIRD,
			Station:   6,
			ASN:       routerASN,
			Neighbors: []router.Neighbor{{Address: node, ASN: nodeASN, Password: "any"}},
		},
	)
	e.router(
		router.Options{
			Kind:      router.GoBGP,
			Station:   7,
			ASN:       65999,
			Neighbors: []router.Neighbor{{Address: node, ASN: nodeASN}},
		},
	)
	e.router(
		router.Options{
			Kind:      router.BIRD,
			Station:   8,
			ASN:       routerASN,
			Neighbors: []router.Neighbor{{Address: node, ASN: nodeASN}},
		},
	)
	e.occupy()
	e.must(e.Start(0, nil))
	for _, c := range []struct {
		peer    string
		reasons []string
		words   []string
	}{
		{"refused", []string{"Refused"}, []string{"refuses"}},
		{"nobody", []string{"NoRoute", "Timeout"}, nil},
		{"wrong-password", []string{"PasswordWrong", "Timeout"}, []string{"password"}},
		{"no-password", []string{"PasswordMissing", "Timeout"}, []string{"password"}},
		{"wrong-asn", []string{"WrongASN"}, []string{"65999", fmt.Sprint(routerASN)}},
		{"refuses-our-asn", []string{"Notified", "WrongASN"}, []string{"64999"}},
		{"other-speaker", []string{"OtherSpeaker"}, nil},
	} {
		p := e.says(0, c.peer, func(p router.SaidPeer) bool {
			return slices.Contains(c.reasons, p.Reason) &&
				!slices.ContainsFunc(c.words, func(w string) bool { return !strings.Contains(p.Message, w) })
		})
		t.Logf("%s: %s: %s", c.peer, p.Reason, p.Message)
		for _, secret := range []string{`"one"`, `"other"`} {
			if strings.Contains(p.Message, secret) {
				t.Errorf("%s: the message has a password", c.peer)
			}
		}
	}
}

// occupy has a gobgpd on the node begin a session first. FRR refuses a second session with the same address.
func (e *environment) occupy() {
	e.t.Helper()
	text := fmt.Sprintf("[global.config]\n as = %d\n router-id = %q\n", nodeASN, wire.LANAddress(0).Addr()) +
		fmt.Sprintf(
			"[[neighbors]]\n[neighbors.config]\n neighbor-address = %q\n peer-as = %d\n[neighbors.timers.config]\n connect-retry = 1\n"+
				"[neighbors.transport.config]\n local-address = %q\n",
			wire.StationAddresses(5)[1].Addr(),
			routerASN,
			wire.LANAddress6(0).Addr(),
		)
	file := filepath.Join(e.t.TempDir(), "gobgpd.toml")
	e.must(os.WriteFile(file, []byte(text), 0o600))
	e.must(e.StartAt(0, exec.Command("gobgpd", "-f", file, "--api-hosts", "127.0.0.1:50051", "--pprof-disable")))
	e.eventually("gobgpd has the session", func(ctx context.Context) error {
		out, err := e.OutputAt(ctx, 0, "gobgp", "neighbor")
		if err == nil && !strings.Contains(string(out), "Establ") {
			err = fmt.Errorf("%s", out)
		}
		return err
	})
}
