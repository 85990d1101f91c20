// Package succession takes a node's place from the process before this one and gives it to the next.
//
// A process goes through these phases, of which the readiness check and the status tell:
//
//	phase        ready  what the process does                         next phase
//	waiting      no     waits for the cluster and looks for another   Active when the place is free, Following when another process has it
//	                    process of this node
//	following    no     begins to answer for the addresses of that    Standby when it answers for all of them, Active when the other
//	                    process                                       process is gone
//	standby      yes    answers beside the other process, or, if the  Active when the other process is gone
//	                    two do not understand each other, waits for
//	                    its end without answering
//	active       (*)    has the place and runs gossip and the loop    HandingOver when it is told to stop and the next process answers
//	                                                                  for everything, else Leaving
//	handing over (*)    stops gossip, gives the place to the next     Ended
//	                    process, and goes on answering until then
//	leaving      (*)    lets the other nodes take over                Ended
//
// (*) The loop says whether it is ready. A process that is told to stop before it is active ends at once. One that is
// replaced by another successor ends too.
//
// pkg/handover has the protocol between the two processes.
package succession
