package inspect

// sessionFix returns the fix for a session that is down, by the word of the reason in status.Peer. The fix is empty for
// the word of a later version.
func sessionFix(word string) string {
	switch word {
	case "None":
		return "wait; the first connection is under way"
	case "Refused":
		return "start BGP on the router and configure this node there as a neighbor; look for a firewall that rejects TCP " +
			"port 179"
	case "NoRoute":
		return "ip route get ROUTER on the node shows which route is missing; a source-address must be an address of the node"
	case "Timeout":
		return "let TCP port 179 pass from the node to the router; a router that expects a password ignores a node without it"
	case "PasswordMissing":
		return "set password or password-secret of the peer to the router's password"
	case "PasswordWrong":
		return "set the same password here (password, password-secret) and on the router"
	case "PasswordUnexpected":
		return "remove the password of the peer here, or configure it on the router"
	case "WrongASN":
		return "set peer-asn to the AS number that the message names, or correct the AS number on the router"
	case "HoldTimeExpired":
		return "look for lost packets between the node and the router (ping -s 1472), and for an overloaded router"
	case "BFDDown":
		return "see whether the node reaches the router, BFD is on for this neighbor on the router, and UDP port 3784 " +
			"passes " +
			"(4784 with ebgp-multihop)"
	case "OtherSpeaker":
		return "another BGP speaker of the node (Calico, Cilium, MetalLB) has the session: give this peer another " +
			"source-address, " +
			"or another address of the router; docs/bgp.md shows how"
	case "Notified":
		return "the message names the router's reason; the log of the router has more"
	case "ConnectionLost":
		return "the log of the router says why it closed the connection"
	case "BadMessage":
		return "capture the session with tcpdump -ni any -w session.pcap tcp port 179, and report the message"
	case "NoRouterAdvertisement":
		return "turn on router advertisements on the router's interface, and IPv6 on the interface of the node"
	case "Changed":
		return "wait; the session comes back with the new parameters"
	case "SendHoldExpired":
		return "see why the router is overloaded: it has read nothing from the session for a long time"
	case "Stopped":
		return "start the speaker again, or end the drain of the node"
	}
	return ""
}
