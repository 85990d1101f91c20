// Command nodenet gives a node its CNI configuration (ptp + host-local on the
// node's PodCIDR) and one route per other node. It talks to the API server with
// plain net/http, so the binary stays small.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
)

const (
	sa       = "/var/run/secrets/kubernetes.io/serviceaccount/"
	confFile = "/etc/cni/net.d/10-nodenet.conflist"
	proto    = 77 // marks our routes
)

type nodeList struct {
	Items []struct {
		Metadata struct{ Name string }
		Spec     struct{ PodCIDRs []string }
		Status   struct {
			Addresses []struct{ Type, Address string }
		}
	}
}

func main() {
	self := os.Getenv("NODE_NAME")
	ep := os.Getenv("CONTROL_PLANE_ENDPOINT")
	if ep == "" {
		ep = net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	}
	ca, err := os.ReadFile(sa + "ca.crt")
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	log.Printf("node %s, API server %s", self, ep)
	for ; ; time.Sleep(2 * time.Second) {
		nodes, err := list(c, ep)
		if err != nil {
			log.Print(err)
			continue
		}
		want := map[string]net.IP{} // PodCIDR to the node's address of that family
		for _, n := range nodes.Items {
			if n.Metadata.Name == self {
				if err := writeConf(n.Spec.PodCIDRs); err != nil {
					log.Print(err)
				}
				continue
			}
			for _, cidr := range n.Spec.PodCIDRs {
				for _, a := range n.Status.Addresses {
					if ip := net.ParseIP(a.Address); a.Type == "InternalIP" && ip != nil && (ip.To4() != nil) == !strings.Contains(cidr, ":") {
						want[cidr] = ip
						break
					}
				}
			}
		}
		if err := routes(want); err != nil {
			log.Print(err)
		}
	}
}

func list(c *http.Client, ep string) (*nodeList, error) {
	token, err := os.ReadFile(sa + "token")
	if err != nil {
		return nil, err
	}
	req, _ := http.NewRequest("GET", "https://"+ep+"/api/v1/nodes?resourceVersion=0", nil)
	req.Header.Set("Authorization", "Bearer "+string(token))
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return nil, fmt.Errorf("list nodes: %s", resp.Status)
	}
	var l nodeList
	return &l, json.NewDecoder(resp.Body).Decode(&l)
}

var written string

func writeConf(cidrs []string) error {
	if len(cidrs) == 0 {
		return nil
	}
	var ranges, dsts []string
	for _, c := range cidrs {
		ranges = append(ranges, fmt.Sprintf(`[{"subnet":%q}]`, c))
		dst := "0.0.0.0/0"
		if strings.Contains(c, ":") {
			dst = "::/0"
		}
		dsts = append(dsts, fmt.Sprintf(`{"dst":%q}`, dst))
	}
	conf := fmt.Sprintf(`{"cniVersion":"1.0.0","name":"nodenet","plugins":[
{"type":"ptp","mtu":1500,"ipMasq":false,"ipam":{"type":"host-local","dataDir":"/run/cni-ipam-state","routes":[%s],"ranges":[%s]}},
{"type":"portmap","capabilities":{"portMappings":true}}]}
`, strings.Join(dsts, ","), strings.Join(ranges, ","))
	if conf == written {
		return nil
	}
	if err := os.WriteFile(confFile+".tmp", []byte(conf), 0o644); err != nil {
		return err
	}
	if err := os.Rename(confFile+".tmp", confFile); err != nil {
		return err
	}
	written = conf
	log.Printf("wrote %s for %v", confFile, cidrs)
	return nil
}

func routes(want map[string]net.IP) error {
	have, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: proto}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return err
	}
	for _, r := range have {
		if gw, ok := want[r.Dst.String()]; ok && gw.Equal(r.Gw) {
			delete(want, r.Dst.String())
		} else if !ok {
			log.Printf("del %s via %s: %v", r.Dst, r.Gw, netlink.RouteDel(&r))
		}
	}
	for cidr, gw := range want {
		_, dst, err := net.ParseCIDR(cidr)
		if err != nil {
			return err
		}
		log.Printf("add %s via %s", cidr, gw)
		if err := netlink.RouteReplace(&netlink.Route{Dst: dst, Gw: gw, Protocol: proto}); err != nil {
			return err
		}
	}
	return nil
}
