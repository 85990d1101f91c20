package ownership

// transition is one line of the table. A step applies the first line that has the state, the trigger and a true guard.
// With more, the step applies the effects and goes on with the next lines.
type transition struct {
	from states
	on   trigger
	when guard // nil for always
	to   State // same keeps the state
	do   []effect
}

const (
	same State = 0xfe
	more State = 0xff
)

var (
	try     = of(Probing, Conflict)
	have    = of(Owner, Draining)
	waiting = of(Backup, Probing, Deferred, Conflict)
)

// table defines the life of an address. docs/ownership.md explains the lines and the rules behind them.
var table = []transition{
	{of(Owner, Suspended, Draining), review, not(announced), Standby, do(withdraw)},
	{waiting | of(Standby), review, all(placed, kernelHas), Conflict, do(faceKernel)},
	{waiting, review, all(not(elected), not(vacant)), Standby, do(forget)},
	{of(Standby, Backup), review, elected, Probing, do(begin)},
	{of(Standby, Probing, Deferred, Conflict), review, vacant, Backup, do(beginBackup)},
	{of(Standby), review, recheckDue, same, do(ask)},
	{of(Standby), nobody | unprobed | byMute, not(kernelHas), same, do(free)},
	{of(Standby), nobody | unprobed | byMute | answered, nil, same, do(stillThere)},
	{of(Probing, Backup), review, nil, more, do(followRules)},
	{of(Backup), review, newTurn, same, do(turn)},
	{of(Backup), review, heardSince, same, do(heardTurn)},
	{of(Backup), review, uninformed, same, do(turn)},
	{of(Deferred), review, nil, more, do(followDue)},
	{of(Deferred), review, rightLost, Probing, do(askNow)},
	{of(Deferred), review, probeDue, Probing, do(ask)},
	{of(Backup, Probing, Conflict, Suspended), review, probeDue, same, do(ask)},
	{of(Probing, Conflict, Suspended), unprobed, nil, same, do(warnUnprobed)},
	{try, nobody, overtaken, same, do(askNow)},
	{try, nobody, askedOne, same, do(askAll)},
	{try, nobody, outdated, same, do(askStale)},
	{try, contested, otherGoesFirst, same, do(giveWay)},
	{try, nobody | byMute, nil, Owner, do(takeSilent)},
	{try, bySuspected, nil, same, do(refute)},
	{try, byMember, nil, more, do(noteHolder)},
	{try, byMember, suspect, Conflict, do(faceMember)},
	{try, byMember, mayTake, Owner, do(take)},
	{try, byMember, nil, Deferred, do(leave)},
	{try, byUnreached, nil, Probing, do(askAlone)},
	{try, byForeign, foreignStays, Owner, do(face, take)},
	{try, byForeign, nil, Conflict, do(face)},
	{of(Backup), silent, all(not(overtaken), unsure), same, do(confirmSilence)},
	{of(Backup), silent, all(not(overtaken), outdated), same, do(askStaleBackup)},
	{of(Backup), silent, not(overtaken), Owner, do(takeSilent)},
	{of(Backup), nobody | byMute | unprobed, nil, same, do(doubtTurn)},
	{of(Backup), answered, nil, same, do(heardTurn)},
	{of(Backup), throttled, nil, same, do(throttle)},
	{of(Suspended), byNode, elected, Probing, do(lose, begin)},
	{of(Suspended), byNode, nil, Standby, do(lose)},
	{of(Suspended), nobody | answered | byMute, overtaken, same, do(askNow)},
	{of(Suspended), nobody, outdated, same, do(askStale)},
	{of(Suspended), contested, retriesLeft, same, do(retry)},
	{of(Suspended), nobody | answered | byMute, nil, Owner, do(resume)},
	{have | of(Suspended), stalled, nil, Suspended, do(suspend)},
	{waiting, stalled, nil, same, do(noteClaim, newTurnNext)},
	{have, review, placed, more, do(reviewRivals)},
	{have, review, rivalGoesFirst, Standby, do(yieldToRival)},
	{of(Owner), review, barred, Draining, do(drain)},
	{of(Owner), review, defenseDue, same, do(defend)},
	{of(Draining), review, eligible, Owner, nil},
	{of(Draining), review, drained, Standby, do(stop)},
	{of(Deferred), claimed, nil, same, do(noteClaim, askNow)},
	{waiting, claimed, nil, same, do(noteClaim)},
	{of(Suspended), claimedByNode, nil, same, do(noteClaim)},
	{have, claimedByForeign, nil, same, do(hearForeign)},
	{have, claimedByNode, nil, more, do(countClaim)},
	{have, claimedByNode, believable, same, do(believe)},
	{have, claimedByNode, announced, more, do(noteRival)},
	{of(Draining), claimedByNode, announced, Standby, do(handOver)},
	{of(Owner), claimedByNode, loses, Standby, do(yield)},
	{of(Owner), claimedByNode, announced, same, do(contradict)},
}

func do(effects ...effect) []effect { return effects }
