VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
IMAGE ?= lanlord/lanlord:dev
PLATFORM ?= $(shell go env GOOS)/$(shell go env GOARCH)
FUZZTIME ?= 20s
ROUNDS ?= 3
SIZES ?= 3
SERVICES ?= 1,1000,2000
NODES ?= 10,100
BESIDE ?= 50,2000
TURNS ?= 3
DURATION ?= 5m
# What make bench measures, and where make soak runs.
WHAT ?= code
ON ?= namespaces

daemon := github.com/lanlord/lanlord/pkg/daemon
ldflags := -s -w -X $(daemon).version=$(VERSION) -X $(daemon).commit=$(COMMIT)

# As the scripts in e2e compile what is on the cluster's nodes, so that what all of it shares is compiled once. Only the race detector wants cgo.
export CGO_ENABLED := 0
export GOFLAGS := $(GOFLAGS) -trimpath -buildvcs=false
race = $(if $(shell command -v gcc),-race)
raced = $(if $(race),CGO_ENABLED=1) go test $(race)
clustertest := go test -v -count=1 -timeout 80m -p 1
guests := MetalLB|TestHelm
vmtools := qemu-system-x86 busybox-static kmod iproute2 ethtool xz-utils dash

# The other sides of a comparison: METALLB_SPEAKER and METALLB_CONTROLLER are MetalLB's programs, which e2e/metallb.sh v0.16.1 builds;
# BEFORE is a folder with a controller and a speaker of another commit.
sides = -turns $(TURNS) $(if $(METALLB_SPEAKER),-metallb-speaker $(METALLB_SPEAKER)) $(if $(METALLB_CONTROLLER),-metallb-controller $(METALLB_CONTROLLER)) \
  $(if $(METALLB_MANIFEST),-metallb-manifest $(METALLB_MANIFEST)) $(if $(BEFORE),-before $(BEFORE))

.PHONY: help build test deps demo demo-down lint fuzz lab e2e e2e-own e2e-guests e2e-namespaces e2e-ready test-vm test-vm-short test-vm-ready bench soak image release
.DEFAULT_GOAL := help

# The text behind ## is what make help shows; a line that begins with ##@ begins a section of it.
help: ## this list
	@awk -F ':.*## ' '/^##@ / {print "\n" substr($$0, 5); next} /^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

##@ Begin here: Go is enough for the first two, the others need root on Debian
build: ## the programs and the kubectl plugin, in bin/; PLATFORM=linux/arm64 for other machines
build: export GOOS = $(word 1,$(subst /, ,$(PLATFORM)))
build: export GOARCH = $(word 2,$(subst /, ,$(PLATFORM)))
build:
	go build -ldflags '$(ldflags)' -o bin/ ./cmd/controller ./cmd/speaker ./cmd/kubectl-lanlord
	ln -sf kubectl-lanlord bin/kubectl_complete-lanlord

# It installs nothing: tests skip with a reason what is missing. As root it includes the tests in network namespaces.
test: ## all tests that need no cluster; what is missing on the machine is skipped
	@$(if $(race),,echo 'make test: without the race detector, which needs a C compiler (make deps)')
	go vet ./...
	$(raced) -shuffle=on -timeout 20m ./...
	go test -run Allocates ./pkg/layer2 # to the letter: the race detector allocates
	go test -shuffle=on ./pkg/speaker # in full: with the race detector, six times as slow, only the short form ran
	cd e2e && go vet ./... && $(raced) -shuffle=on -short ./apiserver ./browser ./cmd/... ./ether ./fault ./kindsoak ./lab ./probe ./router/... ./scale ./soak ./vm/agent ./wire
	cd e2e && go test -shuffle=on ./release # which compresses programs, ten times as slowly with the race detector

# A C compiler for the race detector, checkers on the wire, promtool and a browser.
deps: ## installs the Debian packages that make test uses
	e2e/packages.sh gcc libc6-dev procps iproute2 iputils-ping arping ndisc6 tcpdump tshark nftables conntrack prometheus chromium

demo: lab ## a kind cluster, Lanlord on it, and the main job step by step
	e2e/demo.sh

demo-down: ## removes the cluster and what was made for it
	e2e/cluster.sh down
	e2e/engine.sh stop

##@ For a change of the code
# govulncheck exits with 3 if it finds something, with 1 if it cannot look.
lint: ## gofmt, vet, staticcheck and govulncheck
	@test -z "$$(gofmt -l . | tee -a /dev/stderr)"
	go build -o bin/ honnef.co/go/tools/cmd/staticcheck golang.org/x/vuln/cmd/govulncheck
	go vet ./... && bin/staticcheck ./...
	GOOS=windows go build -o /dev/null ./cmd/kubectl-lanlord # it is released for systems without Linux's calls too
	cd e2e && go vet ./... && ../bin/staticcheck ./...
	bin/govulncheck ./... || { test $$? -ne 3 && echo 'lint: not checked for vulnerabilities, the database is out of reach'; }

fuzz: ## each fuzz test for a while: FUZZTIME=20s
	@for package in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$package | grep ^Fuzz); do \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
	  done; \
	done

lab: ## the kind cluster with the image of this commit on its nodes, for tests by hand (e2e/README.md)
	e2e/cluster.sh up
	$(MAKE) image
	e2e/cluster.sh load $(IMAGE)

e2e: e2e-own e2e-guests e2e-namespaces ## all tests on the kind cluster, and with real processes without a cluster

e2e-own: e2e-ready ## of these, the tests on the cluster that need only Lanlord
	cd e2e && $(clustertest) -skip '$(guests)' . ./kindsoak

e2e-guests: e2e-ready ## of these, the tests with MetalLB, Helm, Traefik or metrics-server, which take a quarter of an hour to compile
	e2e/cluster.sh load $$(e2e/addons/build.sh)
	e2e/binaries.sh
	e2e/packages.sh nftables conntrack iptables
	cd e2e && $(clustertest) ./chart ./chapter ./distribution
	cd e2e && $(clustertest) -run '$(guests)' .

e2e-namespaces: ## of these, the tests without a cluster
	e2e/binaries.sh
	e2e/packages.sh frr bird2 openbgpd gobgpd tcpdump tshark
	cd e2e && $(clustertest) ./claims ./privilege ./wire ./router ./scale ./soak

# What the tests on the cluster begin with.
e2e-ready: lab
	e2e/demo.sh clean
	e2e/packages.sh prometheus chromium

# Needs no KVM.
test-vm: vmtools += qemu-user-static iptables nftables ipset conntrack
test-vm: test-vm-ready ## set-ups of nodes and losses of power on kernels of Debian, in virtual machines
	cd e2e && go test -v -count=1 -timeout 40m ./vm

test-vm-short: test-vm-ready ## the cheapest half of it, on one kernel: two minutes
	cd e2e && go test -v -count=1 -timeout 15m -short -run TestSetups ./vm

test-vm-ready:
	e2e/binaries.sh
	e2e/packages.sh $(vmtools) || test "$$LANLORD_TOOLS" != required # the tests say what they skip

##@ Measurements, each with a table: docs/measurements.md
bench: $(if $(filter failover bgp scale,$(WHAT)),build)
bench: ## WHAT=code (benchmarks in memory), failover, bgp, scale or nodes
	$(if $(filter $(WHAT),code failover bgp scale nodes),,$(error WHAT=$(WHAT) is not known: code, failover, bgp, scale and nodes are))
	$(bench_$(WHAT))

# All benchmarks of the packages, in memory.
define bench_code
go test -run '^$$' -bench . -benchmem ./...
endef

# What clients notice when speakers fail, in network namespaces, and crashes beside the other sides. Needs root.
# ROUNDS=50 SIZES=3,10,30 takes hours.
define bench_failover
cd e2e && go build -o ../bin/failover ./cmd/failover
bin/failover -speaker bin/speaker -rounds $(ROUNDS) -sizes $(SIZES) $(FAILOVERFLAGS)
cd e2e && go build -o ../bin/scale ./cmd/scale
bin/scale -v -binaries "$$(e2e/binaries.sh)" -only crash -services $(BESIDE) $(sides) $(BESIDEFLAGS)
endef

# What real routers and clients behind them notice of BGP, in network namespaces. Needs root. ROUNDS=50 takes about an hour;
# BGPFLAGS='-only crash,busy -busy 30m' for some of it.
define bench_bgp
e2e/packages.sh frr bird2
cd e2e && go build -o ../bin/bench-bgp ./cmd/bench-bgp
bin/bench-bgp -speaker bin/speaker -rounds $(ROUNDS) $(BGPFLAGS)
endef

# What thousands of Services cost, with a real API server and no cluster: a table, and one with a column for each side, whose
# programs take turns. Needs root. SERVICES=10000 takes minutes.
define bench_scale
cd e2e && go build -o ../bin/scale ./cmd/scale
bin/scale -v -binaries "$$(e2e/binaries.sh)" -services $(SERVICES) $(SCALEFLAGS)
bin/scale -v -binaries "$$(e2e/binaries.sh)" -beside -services $(BESIDE) $(sides) $(BESIDEFLAGS)
endef

# What gossip and watching cost, and when a crash is noticed, by the number of nodes, in simulated time: a table. NODES=1000 takes a
# quarter of an hour and 7 GB.
define bench_nodes
go test -count=1 -timeout 1h -v -run TestSimulated ./pkg/speaker -simulate $(NODES) $(NODEFLAGS)
endef

soak: $(if $(filter kind,$(ON)),lab)
soak: ## random faults, and everything checked from outside: DURATION=1h; ON=kind for the kind cluster
	$(if $(filter $(ON),namespaces kind),,$(error ON=$(ON) is not known: namespaces and kind are))
	$(soak_$(ON))

# Needs root. SOAKFLAGS='-seed 1 -report soak.md'; RACE=-race for programs that look for data races.
define soak_namespaces
$(if $(RACE),CGO_ENABLED=1) go build $(RACE) -ldflags '$(ldflags)' -o bin/soaked/ ./cmd/controller ./cmd/speaker
cd e2e && go build -o ../bin/soak ./cmd/soak
bin/soak -speaker bin/soaked/speaker -controller bin/soaked/controller -commit $(COMMIT) -duration $(DURATION) $(SOAKFLAGS)
endef

# The same to the kind cluster, with all that belongs to one.
define soak_kind
e2e/demo.sh clean
cd e2e && go build -o ../bin/soak ./cmd/soak
bin/soak -kind -commit $(COMMIT) -duration $(DURATION) $(SOAKFLAGS)
endef

##@ Releases: docs/releases.md
# The same commit and Go release make the same image, byte for byte; it prints the digest. PLATFORM=linux/arm64 makes one for other nodes.
image: build ## the image lanlord/lanlord:dev, or IMAGE, in the Docker engine
	cd e2e && go build -o ../bin/image ./cmd/image
	bin/image -o bin/image.tar -t $(IMAGE) -platform $(PLATFORM) -label org.opencontainers.image.version=$(VERSION) \
	  -label org.opencontainers.image.revision=$(COMMIT) bin/controller bin/speaker
	docker load -q -i bin/image.tar

# REGISTRY=registry.example/team names the image REGISTRY/lanlord, and pushes it.
release: ## the files of a release in dist/VERSION: VERSION=v0.1.0
	cd e2e && go build -o ../bin/release ./cmd/release
	bin/release -version $(VERSION) -commit $(COMMIT) $(if $(REGISTRY),-repository $(REGISTRY)/lanlord -push) $(RELEASEFLAGS)
