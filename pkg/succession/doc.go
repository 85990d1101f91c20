// Package succession takes a node's place from the previous process and gives the place to the next process.
//
// A process goes through the following phases. The readiness check and the status show the phase.
//
//	phase        ready  activity                                next phase
//	waiting      no     waits for the cluster and looks for     Active when the place is free, Following when another
//	                    another process of this node            process has the place
//	following    no     begins to answer for the addresses of   Standby when this process answers for all addresses,
//	                    the other process                       Active when the other process is gone
//	standby      yes    answers together with the other         Active when the other process is gone
//	                    process, or, if the two are not
//	                    compatible, waits for the end of the
//	                    other process without answering
//	active       (*)    has the place and runs gossip and the   HandingOver when told to stop and the next process
//	                    loop                                    answers for everything, else Leaving
//	handing over (*)    stops gossip, gives the place and the   Ended
//	                    sessions with routers to the next
//	                    process, answers until then
//	leaving      (*)    lets the other nodes take over          Ended
//
// (*) The loop decides the readiness. A process that is told to stop before the active phase ends at once. A process
// replaced by another follower ends too.
//
// pkg/handover defines the protocol between the two processes.
package succession
