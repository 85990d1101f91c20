#!/bin/bash
# Puts a node image together: the images that kubeadm expects, the node's file system,
# and the former imported into the latter's containerd, so that no node ever pulls.
# usage: assemble.sh BINARIES ROOTFS.tar.zst WORK-FOLDER KUBERNETES-VERSION IMAGE
set -euo pipefail
cd "$(dirname "$0")"
bins=$1 rootfs=$2 work=$3 version=$4 image=$5
base=$image-base
container=lanlord-node-build-$$

path='PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
node=$work/node
archive=$work/archive # of images, laid out as docker save does
nodenet_image=lanlord/nodenet:v1 # named in files/kind/manifests/default-cni.yaml
control_plane=(kube-apiserver kube-controller-manager kube-scheduler kube-proxy)
mapfile -t wanted < <("$bins/hyperkube" kubeadm config images list --kubernetes-version "$version")

# wanted_name PROGRAM prints the image name that kubeadm gives to a program.
wanted_name() { printf '%s\n' "${wanted[@]}" | grep "/$1:"; }

# new_root NAME FILE... makes the file system of an image with the files in its /usr/local/bin.
new_root() {
  local root=$archive/$1
  shift
  mkdir -p "$root"/{etc,tmp,run,var,usr/local/bin}
  chmod 1777 "$root/tmp"
  printf 'root:x:0:0:root:/:/\n' >"$root/etc/passwd"
  cp "$@" "$root/usr/local/bin/"
  echo "$root"
}

# add_image ROOT PROGRAM NAME... adds one image, with several names, to the archive: a
# layer, its configuration and a line of the manifest. The engine is not asked, so that
# images of the same names that it may hold stay as they are.
add_image() {
  local root=$1 program=$2 layer=$1.tar digest
  shift 2
  tar -C "$root" --numeric-owner --owner=0 --group=0 -cf "$layer" .
  digest=$(sha256sum "$layer" | cut -d' ' -f1)
  jq -n --arg entrypoint "/usr/local/bin/$program" --arg path "$path" --arg digest "sha256:$digest" \
    --arg architecture "$(go env GOARCH)" '{$architecture, os: "linux",
      config: {Entrypoint: [$entrypoint], Env: [$path]},
      rootfs: {type: "layers", diff_ids: [$digest]}}' >"$root.json"
  jq -n --arg config "$(basename "$root").json" --arg layer "$(basename "$layer")" \
    '{Config: $config, RepoTags: $ARGS.positional, Layers: [$layer]}' --args "$@" >>"$archive/manifest.lines"
  rm -rf "$root"
}

# copy_with_libraries TARGET FILE... copies programs of the node with the shared objects they need.
copy_with_libraries() {
  local file library target=$1
  shift
  for file in "$@"; do
    install -D "$node$file" "$target$file"
    for library in $(chroot "$node" ldd "$file" 2>/dev/null | grep -o '/[^ ]*' | sort -u); do
      [ -e "$target$library" ] || install -D "$node$library" "$target$library"
    done
  done
}

kubernetes_image() {
  local root name suffix names=()
  root=$(new_root kubernetes "$bins/hyperkube")
  for name in "${control_plane[@]}"; do
    ln -s hyperkube "$root/usr/local/bin/$name"
    names+=("$(wanted_name "$name")")
  done
  # kube-proxy calls these.
  local extensions=("$node"/usr/lib/*/xtables/*.so)
  copy_with_libraries "$root" /usr/sbin/xtables-nft-multi /usr/sbin/nft /usr/sbin/conntrack "${extensions[@]#"$node"}"
  for name in iptables ip6tables; do
    for suffix in '' -save -restore; do ln -s xtables-nft-multi "$root/usr/sbin/$name$suffix"; done
  done
  add_image "$root" hyperkube "${names[@]}"
}

images() {
  local programs=$work/programs
  mkdir -p "$programs" "$archive"
  CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false' go build -ldflags '-s -w' -o "$programs/" ./cmd/pause ./cmd/nodenet
  kubernetes_image
  add_image "$(new_root etcd "$bins/etcd")" etcd "$(wanted_name etcd)"
  add_image "$(new_root coredns "$bins/coredns")" coredns "$(wanted_name coredns)"
  add_image "$(new_root pause "$programs/pause")" pause "$(wanted_name pause)"
  add_image "$(new_root nodenet "$programs/nodenet")" nodenet "$nodenet_image"
  jq -s . "$archive/manifest.lines" >"$archive/manifest.json"
  rm "$archive/manifest.lines"
  tar -C "$archive" -cf "$work/images.tar" .
  rm -rf "$archive"
}

# systemd starts only what a node needs: the rest costs time or fails in a container.
trim_systemd() {
  local units=$node/lib/systemd/system unit
  local own=$node/etc/systemd/system
  rm -rf "$own"/*.wants "$units"/{multi-user,local-fs,timers}.target.wants/*
  rm -f "$units"/sysinit.target.wants/systemd-{tmpfiles-setup,tmpfiles-setup-dev,binfmt,firstboot,repart}.service \
    "$units"/sysinit.target.wants/systemd-{random-seed,modules-load,update-utmp,sysusers,machine-id-commit}.service \
    "$units"/sysinit.target.wants/{kmod-static-nodes.service,proc-sys-fs-binfmt_misc.automount,dev-hugepages.mount} \
    "$units"/sysinit.target.wants/{systemd-ask-password-console.path,sys-*.mount,systemd-pcrphase*} \
    "$units"/sysinit.target.wants/{*cryptsetup*,*verity*,*integrity*} \
    "$units"/sockets.target.wants/{systemd-initctl,systemd-journald-audit}.socket
  mkdir -p "$own/multi-user.target.wants"
  for unit in containerd kubelet pod-masquerade; do
    ln -s "/etc/systemd/system/$unit.service" "$own/multi-user.target.wants/"
  done
  ln -sf /lib/systemd/system/multi-user.target "$own/default.target"
}

install_node() {
  local name pause
  rm -f "$node/etc/machine-id" # each node gets its own
  mkdir -p "$node"/{opt/cni/bin,etc/cni/net.d,etc/kubernetes/manifests}
  cp -r --preserve=mode files/. "$node/" # root owns them, whoever checked them out
  printf %s "$version" >"$node/kind/version"
  pause=$(wanted_name pause)
  sed -i "s|@PAUSE@|$pause|" "$node/etc/containerd/config.toml"
  cp "$bins"/{containerd,ctr,containerd-shim-runc-v2,hyperkube} "$node/usr/local/bin/"
  for name in kubeadm kubelet kubectl; do ln -s /usr/local/bin/hyperkube "$node/usr/bin/$name"; done
  cp "$bins"/{ptp,loopback,host-local,portmap} "$node/opt/cni/bin/"
  trim_systemd
}

# Imports the images with the node's own containerd, so that a node starts with them unpacked.
preload_images() {
  trap 'docker rm -f -v "$container" >/dev/null 2>&1 || true; docker rmi "$base" >/dev/null 2>&1 || true' EXIT
  tar -C "$node" --numeric-owner -c . | docker import --change "ENV container=docker $path" - "$base" >/dev/null
  # systemd stops on SIGRTMIN+3; docker commit takes it over from the container.
  docker run -d --name "$container" --stop-signal SIGRTMIN+3 --privileged --network none \
    --tmpfs /run --tmpfs /tmp -v "$work/images.tar:/images.tar:ro" --entrypoint /bin/sh "$base" -c '
    set -e
    containerd >/tmp/containerd.log 2>&1 &
    until ctr version >/dev/null 2>&1; do sleep 0.1; done
    ctr -n k8s.io images import --local --all-platforms --discard-unpacked-layers /images.tar
    # The discarded layers are collected now: killed earlier, containerd leaves them in the image.
    ctr -n k8s.io content prune references
    kill $!
    wait $!' >/dev/null
  [ "$(docker wait "$container")" = 0 ] || {
    docker logs "$container" >&2
    return 1
  }
  docker commit --change 'ENTRYPOINT ["/usr/local/bin/entrypoint","/lib/systemd/systemd"]' --change 'CMD []' \
    "$container" "$image" >/dev/null
}

mkdir -p "$node"
zstd -q -dc "$rootfs" | tar -C "$node" --numeric-owner -x
images
install_node
preload_images
