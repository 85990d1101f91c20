package reason

// BondFault explains which effect the mode of a bond has on the addresses announced on the bond.
type BondFault struct {
	// Text is a clause for people, and Mend the fix.
	Text, Mend string
	// Certain is false for a fault that the switch may prevent.
	Certain bool
}

// FaultOfBond returns the fault of a mode of a bond, by the kernel's name of the mode, such as "balance-alb". ok is false
// for a mode without a fault, and for an empty or unknown name.
func FaultOfBond(mode string) (f BondFault, ok bool) {
	switch mode {
	case "balance-alb":
		return BondFault{
			Text: "the driver of the bond keeps the ARP replies that it has sent, and repeats them to clients by itself, also " +
				"after the address has moved to another node",
			Mend:    "use mode active-backup or 802.3ad",
			Certain: true,
		}, true
	case "balance-rr", "balance-xor", "broadcast":
		return BondFault{
			Text: "unless the switch treats the cables of the bond as one port, each question for an address has several answers",
			Mend: "set up a static link aggregation on the switch, or use mode active-backup or 802.3ad",
		}, true
	}
	return BondFault{}, false
}
