package inspect

import (
	"slices"

	"github.com/lanlord/lanlord/pkg/reason"
)

// The addresses of the project.
const (
	// Home is the address of the project.
	Home = "https://github.com/lanlord/lanlord"
	// Docs is the address of the documentation, with a slash at the end.
	Docs = Home + "/blob/main/docs/"
)

// The pages that explain a reason or a finding. TestLinks checks that each page exists and has the anchor.
const (
	pagePending      = "troubleshooting.md#a-service-stays-pending"
	pageAnnotation   = "troubleshooting.md#an-annotation-has-no-effect"
	pageUnreachable  = "troubleshooting.md#the-address-is-there-and-nobody-reaches-it"
	pageContested    = "troubleshooting.md#the-address-in-the-status-changes-again-and-again"
	pageUnknown      = "troubleshooting.md#kubectl-lanlord-shows-unknown"
	pageTaken        = "troubleshooting.md#something-else-has-the-address"
	pageRefused      = "troubleshooting.md#the-configuration-is-refused"
	pageSpeaker      = "troubleshooting.md#a-speaker-is-not-ready"
	pageStart        = "troubleshooting.md#a-speaker-or-the-controller-does-not-start"
	pagePorts        = "troubleshooting.md#another-lanlord-uses-the-ports"
	pageUpdate       = "troubleshooting.md#an-update-does-not-get-on"
	pageGossip       = "troubleshooting.md#gossip-does-not-pass"
	pageTwoNodes     = "troubleshooting.md#two-nodes-answer-for-one-address"
	pagePoolFull     = "runbooks/pool-full.md"
	pageWaiting      = "runbooks/service-waiting.md"
	pageConflict     = "runbooks/address-conflict.md"
	pageWithoutOwner = "runbooks/address-without-owner.md"
	pagePath         = "runbooks/path-unreachable.md"
	pageNoNode       = "runbooks/no-eligible-node.md"
	pageSession      = "runbooks/bgp-session-down.md"
	pageNotAnnounced = "runbooks/bgp-not-announced.md"
	pageController   = "runbooks/controller-down.md"
	pageIPVS         = "distributions.md#kube-proxy-in-ipvs-mode"
	pageProxy        = "distributions.md#no-kube-proxy"
	pageVersions     = "distributions.md#kubernetes-versions"
	pageNamespace    = "distributions.md#talos"
	pageInstall      = "install.md#what-it-may-do"
	pageRights       = "kubectl-plugin.md#rights"
)

// Runbook returns the address of the page that explains the word of a reason or of an address's state; empty for a word
// that needs no explanation.
func Runbook(word string) string {
	if page := pageOf(word); page != "" {
		return Docs + page
	}
	return ""
}

func pageOf(word string) string {
	switch word {
	case stateConflict, reason.AddressTaken.String():
		return pageConflict
	case stateDisputed:
		return pageTwoNodes
	case statePending:
		return pageWithoutOwner
	case stateUnknown:
		return pageUnknown
	case stateUnreachable:
		return pagePath
	case stateSessionDown, stateFamilyRefused:
		return pageSession
	case reason.NoFreeAddress.String():
		return pagePoolFull
	case reason.StatusContested.String():
		return pageContested
	case reason.InvalidRequest.String():
		return pageAnnotation
	case reason.NoEndpoints.String():
		return pageUnreachable
	case reason.NoEligibleNode.String():
		return pageNoNode
	case reasonUndecided:
		return pageController
	}
	if a, ok := reason.ParseAssignment(word); ok && a != reason.Assigned && a != reason.Surplus {
		return pageWaiting
	}
	if r, ok := reason.ParseRoute(word); ok && r != reason.Routed {
		return pageNotAnnounced
	}
	return ""
}

// checkPages maps the names of the checks of the doctor to the pages that explain their findings.
var checkPages = [...]struct{ check, page string }{
	{"installation", pageStart},
	{"controller", pageController},
	{"speakers", pageSpeaker},
	{"rollout", pageUpdate},
	{"privileges", pageSpeaker},
	{"versions", pageUpdate},
	{"configuration", pageRefused},
	{"gossip-keys", pageGossip},
	{"gossip", pageGossip},
	{"interfaces", pageSpeaker},
	{"nodes", pageNoNode},
	{"pools", pagePoolFull},
	{"services", pagePending},
	{"owners", pageWithoutOwner},
	{"paths", pagePath},
	{"bgp", pageSession},
	{"subnets", pageUnreachable},
	{"strangers", pageConflict},
	{"node-addresses", pageTaken},
	{"kube-proxy", pageIPVS},
	{"metallb", pageContested},
	{"rivals", pageContested},
	{"rights", pageRights},
	{"kubernetes", pageVersions},
	{"installed", pageStart},
	{"network", pageProxy},
	{"ports", pagePorts},
	{"namespace", pageNamespace},
	{"install", pageInstall},
}

// checkLink returns the address of the page that explains the findings of a check, empty for an unknown check.
func checkLink(check string) string {
	i := slices.IndexFunc(checkPages[:], func(c struct{ check, page string }) bool { return c.check == check })
	if i < 0 {
		return ""
	}
	return Docs + checkPages[i].page
}
