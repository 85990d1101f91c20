package membership

import (
	"testing"
	"time"
)

// TestUnstableMembers follows the lives of member b. Each step is a time, an event, and whether b is a member
// afterwards.
func TestUnstableMembers(t *testing.T) {
	type step struct {
		at     time.Duration
		do     string
		member bool
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"long lives", []step{
			{0, "join", true}, {10 * time.Second, "lose", false}, {20 * time.Second, "join", true}, {30 * time.Second, "lose", false},
			{40 * time.Second, "join", true}, {50 * time.Second, "lose", false}, {60 * time.Second, "join", true},
		}},
		{"short lives, and then one that lasts", []step{
			{0, "join", true}, {2 * time.Second, "lose", false}, {9 * time.Second, "join", true}, {11 * time.Second, "lose", false},
			{20 * time.Second, "join", false}, {21 * time.Second, "lose", false}, {30 * time.Second, "join", false},
			{39 * time.Second, "settle", false}, {40 * time.Second, "settle", true},
			{41 * time.Second, "lose", false}, {42 * time.Second, "join", true},
		}},
		{"the metadata of an unstable member changes", []step{
			{0, "join", true}, {1 * time.Second, "lose", false}, {2 * time.Second, "join", true}, {3 * time.Second, "lose", false},
			{4 * time.Second, "join", false}, {5 * time.Second, "update", false}, {14 * time.Second, "settle", true},
		}},
		{"it leaves politely", []step{
			{0, "join", true}, {1 * time.Second, "leaving", true}, {2 * time.Second, "lose", false},
			{3 * time.Second, "join", true}, {4 * time.Second, "leaving", true}, {5 * time.Second, "lose", false},
			{6 * time.Second, "join", true},
		}},
		{"another process begins", []step{
			{0, "join", true}, {1 * time.Second, "lose", false}, {2 * time.Second, "join", true}, {3 * time.Second, "lose", false},
			{4 * time.Second, "restart", true},
		}},
		{"the lives are forgotten", []step{
			{0, "join", true}, {1 * time.Second, "lose", false}, {2 * time.Second, "join", true}, {3 * time.Second, "lose", false},
			{3*time.Second + lifeMemory, "others", false}, {4*time.Second + lifeMemory, "join", true},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			begin := time.Now()
			member := Member{Name: "b", State: Ready, Since: time.Unix(1, 0)}
			v := &view{members: []Member{{Name: "a"}}}
			for _, s := range test.steps {
				now := begin.Add(s.at)
				switch s.do {
				case "join":
					v = v.join(member, nil, now)
				case "restart":
					member.Since = time.Unix(2, 0)
					v = v.join(member, nil, now)
				case "update":
					member.Configured = true
					v = v.update(member, nil)
				case "leaving":
					leaving := member
					leaving.State = Leaving
					v = v.update(leaving, nil)
				case "lose":
					v = v.lose("b", now)
				case "settle":
					v = v.settleLives(now)
				case "others":
					v = v.join(Member{Name: "c"}, nil, now).lose("c", now.Add(time.Hour))
				}
				i, found := v.find("b")
				if found != s.member {
					t.Fatalf("after %s at %v b is a member: %v, want %v", s.do, s.at, found, s.member)
				}
				if found && s.do != "leaving" && !v.members[i].equal(member) {
					t.Errorf("after %s at %v b is %v, want %v", s.do, s.at, v.members[i], member)
				}
			}
		})
	}
}
