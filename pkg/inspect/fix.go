package inspect

import (
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// fix describes the fix for a reason.
type fix struct {
	text string
	// doctor is true when the text refers to the doctor. Such a text does not help a user who has just run the doctor.
	doctor bool
}

// fixOf returns the fix for the word of a reason or of an address's state. A word of a later version has no fix.
func fixOf(word string) fix {
	if a, ok := reason.ParseAssignment(word); ok {
		return fix{text: assignmentFix(a)}
	}
	if a, ok := reason.ParseAnnouncement(word); ok {
		return announcementFix(a)
	}
	if r, ok := reason.ParseRoute(word); ok {
		return fix{text: routeFix(r)}
	}
	switch word {
	case stateSessionDown:
		return fix{"kubectl lanlord peers shows why the sessions are down", false}
	case stateFamilyRefused:
		return fix{text: "activate the address family for this neighbor on the router"}
	case stateConflict:
		return fix{text: "give that host or object another address, or leave this one out of the pool with exclude"}
	case stateDisputed:
		return fix{"kubectl lanlord doctor tells whether the speakers hear each other", true}
	case statePending:
		return fix{"wait a second; then kubectl lanlord doctor tells what keeps the speakers from it", true}
	case stateUnknown:
		return fix{"kubectl lanlord doctor tells why the speakers could not be asked", true}
	}
	return fix{}
}

// mendOf returns the text of the fix.
func mendOf(word string) string { return fixOf(word).text }

// mendHere returns the text of the fix for the report of the doctor.
func mendHere(word string) string {
	f := fixOf(word)
	if f.doctor {
		return "see what the other checks say"
	}
	return f.text
}

// assignmentFix returns the fix for a Service that lacks an address. The fix is empty for Assigned only.
func assignmentFix(a reason.Assignment) string {
	switch a {
	case reason.Assigned:
	case reason.InvalidRequest:
		return "mend the annotation or field that the message names"
	case reason.MissingFamily:
		return "give the cluster and the Service both families, or use ipFamilyPolicy PreferDualStack"
	case reason.FamilyMismatch:
		return "ask for an address of a family that the Service has, or change spec.ipFamilies"
	case reason.UnknownPool:
		return "ask for one of the pools that kubectl lanlord pools lists"
	case reason.PoolNotAllowed:
		return "ask for another pool, or open this one to the Service (namespaces, namespace-selectors, service-selectors)"
	case reason.PoolDisabled:
		return "ask for another pool, or remove disabled from this one"
	case reason.PoolLacksFamily:
		return "add addresses of that family to the pool, or ask for another pool"
	case reason.AddressOutsidePools:
		return "ask for an address that a pool has, or add this one to a pool"
	case reason.AddressExcluded:
		return "ask for another address, or remove it from exclude"
	case reason.AddressReserved:
		return "ask for another address, or add the Service to the reservation"
	case reason.AddressTaken:
		return "ask for another address, or free this one of the host or object that has it; for the address of a Node see " +
			"allocation: {allow-node-addresses: true}"
	case reason.NetworkAddress:
		return "ask for another address"
	case reason.AddressInUse:
		return "ask for another address, or let both Services share it (lanlord.io/allow-shared-ip)"
	case reason.NotRequested:
		return "the Service asks for an address and for a pool that does not have the address: remove one of the two requests"
	case reason.Surplus:
		return "nothing; a Service has one address of each family"
	case reason.NoPool:
		return "open a pool to the namespace or the Service, or ask for a pool that is used on request (lanlord.io/address-pool)"
	case reason.QuotaReached:
		return "raise the quota, or remove Services of the namespace that need no address"
	case reason.NoFreeAddress:
		return "add addresses to a pool that the Service may use, or remove Services that need none"
	case reason.StatusContested:
		return "turn the other controller off (k3s: --disable=servicelb), or give the Service a spec.loadBalancerClass of one of them"
	}
	return ""
}

// serviceFix returns the fix for a Service that lacks an address. Where the record of the Service has the details of
// the problem, the fix is for this problem.
func serviceFix(s *cluster.Service) string {
	if s.Condition == nil {
		return ""
	}
	if s.Assignment != nil && len(s.Assignment.Problems) > 0 && s.Condition.Reason == reason.AddressInUse.String() {
		if p := s.Assignment.Problems[0]; p.Reason == reason.AddressInUse && p.By != "" {
			return "ask for another address; " + sharingFix(p)
		}
	}
	return mendOf(s.Condition.Reason)
}

// sharingFix returns what has to change before a Service can share the address of another Service.
func sharingFix(p cluster.Problem) string {
	switch p.Unshared {
	case reason.NotMeant:
		return "to share this one, give both Services the same key (lanlord.io/allow-shared-ip)"
	case reason.NoSharingKey:
		return "to share this one, give " + p.By + " the key of this Service (lanlord.io/allow-shared-ip)"
	case reason.OtherSharingKey:
		return "to share this one, give both Services the same key (lanlord.io/allow-shared-ip); they have different keys"
	case reason.SamePort:
		return "to share this one, change the port that " + p.By + " has too"
	case reason.OtherTrafficPolicy:
		return "to share this one, give both Services the same externalTrafficPolicy"
	case reason.OtherNamespace:
		return "to share this one, use externalTrafficPolicy Cluster, and no share-across-namespaces: false in the pool"
	case reason.OtherSelector:
		return "to share this one, use externalTrafficPolicy Cluster, or the same selector in both Services"
	case reason.Leaving:
		return "or wait a moment: " + p.By + " is about to lose this one"
	}
	return "to share this one, see what the message says"
}

// announcementFix returns the fix for an address that no node announces. The fix is empty for Announced only.
func announcementFix(a reason.Announcement) fix {
	switch a {
	case reason.Announced:
	case reason.NoEndpoints:
		return fix{text: "see why no pod of the Service is ready: kubectl get pods, kubectl describe service"}
	case reason.NoEligibleNode:
		return fix{"the message says what keeps the nodes from it; kubectl lanlord doctor looks at all of them", true}
	case reason.NotInPool:
		return fix{text: "nothing, if another address follows; else put the address back into a pool"}
	case reason.NodeAddress:
		return fix{text: "nothing; the node alone serves the address, and no other node takes over"}
	}
	return fix{}
}

// exclusionFix returns the fix that makes a node eligible. The fix is empty for Eligible only.
func exclusionFix(e reason.Exclusion) string {
	switch e {
	case reason.Eligible:
	case reason.NotANode:
		return "see whether the Node was deleted: kubectl get nodes"
	case reason.Deleting:
		return "nothing; the Node is being deleted"
	case reason.OutOfService:
		return "remove the taint node.kubernetes.io/out-of-service when the node is back"
	case reason.ExcludedByLabel:
		return "remove the label node.kubernetes.io/exclude-from-external-load-balancers from a node, or write excluded-nodes: use"
	case reason.NetworkUnavailable:
		return "see why the network plugin has not set up the node: kubectl describe node"
	case reason.Cordoned:
		return "uncordon a node, or remove move-on-cordon from the configuration"
	case reason.NoSpeaker:
		return "see why the speaker is not ready: kubectl lanlord doctor"
	case reason.NoConfiguration:
		return "mend the configuration; kubectl lanlord check -f FILE checks a file"
	case reason.NoInterface:
		return "see which interfaces are excluded or down: kubectl lanlord doctor"
	case reason.NotSelected:
		return "change the pool's node-selectors, or the labels of a node"
	case reason.NoPoolInterface:
		return "change the pool's interfaces, or bring one of them up on a node"
	case reason.NoSubnet:
		return "use addresses of a subnet that the node is in"
	case reason.NoServingEndpoint:
		return "run a pod of the Service on the node, or use externalTrafficPolicy Cluster"
	}
	return ""
}

// exclusionFixes joins the fixes for all exclusions with at least one node. nodes counts the nodes by the word of the
// exclusion.
func exclusionFixes(nodes map[string]int) string {
	var texts []string
	for _, e := range reason.Exclusions() {
		if text := exclusionFix(e); nodes[e.String()] > 0 && text != "" && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "; ")
}

// watchHint explains the event for which a node waits before it answers for an address.
func watchHint(w reason.Watch) string {
	switch w {
	case reason.NotElected:
		return "the elected node answers, or takes the address over"
	case reason.NotEligible:
		return "the exclusion of the node has to end"
	case reason.Asking:
		return "silence on the wire; then this node takes the address"
	case reason.Waiting:
		return "the delay that the message names, or the end of the present owner's eligibility"
	case reason.ForeignHost:
		return "the foreign host has to fall silent, or to get another address"
	case reason.Outdated:
		return "this node has to see the changes that the present owner has seen"
	case reason.Unconfigured:
		return "this node has to get a valid configuration"
	case reason.NoRules:
		return "the service proxy (kube-proxy) of this node has to write its rules: its log tells more, and so does " +
			"kubectl lanlord probe"
	}
	return ""
}
