package main

import (
	"testing"
)

func TestFileToRewrite(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		file   string
		inSpec bool
	}{
		{"create as containerd does", []string{"--root", "/run/r", "--log", "l", "create", "--bundle", "/b", "--pid-file", "p", "id"}, "/b/config.json", true},
		{"run with the short flag", []string{"run", "-b", "/b", "id"}, "/b/config.json", true},
		{"create in the working folder", []string{"create", "id"}, "config.json", true},
		{"exec with a process file", []string{"exec", "--process=/p", "id"}, "/p", false},
		{"exec of a command", []string{"exec", "id", "ls"}, "", false},
		{"state", []string{"--root", "/run/r", "state", "id"}, "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file, inSpec := fileToRewrite(test.args)
			if file != test.file || inSpec != test.inSpec {
				t.Errorf("fileToRewrite(%q) = %q, %t, want %q, %t", test.args, file, inSpec, test.file, test.inSpec)
			}
		})
	}
}

func TestBoundingSetWithoutSysResource(t *testing.T) {
	held, err := boundingSet("Name:\tx\nCapBnd:\t000001fffeffffff\nCapAmb:\t0\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(held) != 40 {
		t.Errorf("%d capabilities, want all 41 but one", len(held))
	}
	for _, name := range held {
		if name == "CAP_SYS_RESOURCE" {
			t.Error("CAP_SYS_RESOURCE is in the set")
		}
	}
	if _, err := boundingSet("Name:\tx\n"); err == nil {
		t.Error("no error for a status without CapBnd")
	}
}

func TestStrip(t *testing.T) {
	tests := []struct {
		name     string
		document string
		inSpec   bool
		want     string
	}{
		{
			"specification",
			`{"linux":{"shares":18446744073709551615},"process":{"capabilities":{"bounding":["CAP_KILL","CAP_SYS_RESOURCE"],"effective":["CAP_SYS_RESOURCE"]}}}`,
			true,
			`{"linux":{"shares":18446744073709551615},"process":{"capabilities":{"bounding":["CAP_KILL"],"effective":[]}}}`,
		},
		{"process", `{"capabilities":{"permitted":["CAP_SYS_RESOURCE","CAP_KILL"]}}`, false, `{"capabilities":{"permitted":["CAP_KILL"]}}`},
		{"no capabilities", `{"args":["ls"]}`, false, `{"args":["ls"]}`},
		{"no process", `{"root":{}}`, true, `{"root":{}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := strip([]byte(test.document), test.inSpec, []string{"CAP_KILL"})
			if err != nil || string(got) != test.want {
				t.Errorf("strip: %s, %v, want %s", got, err, test.want)
			}
		})
	}
}
