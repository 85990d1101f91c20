module github.com/lanlord/lanlord/e2e/metallb/v0.15

go 1.26.0

require go.universe.tf/metallb v0.15.2
