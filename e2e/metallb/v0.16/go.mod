module github.com/lanlord/lanlord/e2e/metallb/v0.16

go 1.26.0

require go.universe.tf/metallb v0.16.2
