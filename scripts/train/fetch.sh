#!/bin/sh
# Downloads the Debian packages the corpus is built from and unpacks them (nothing is installed).
# usage: fetch.sh DIR      afterwards DIR/root holds usr/share/{wordnet,dict,dictd,doc,iso-codes,...}
set -eu
dir=${1:?usage: fetch.sh DIR}
mkdir -p "$dir/debs" "$dir/root"
cd "$dir/debs"
# WordNet: glosses and examples. scowl: which words are common. iso-codes, units: checks of our
# tables. The rest is prose under permissive licences or in the public domain.
apt-get download wordnet-base scowl iso-codes units dict-jargon dict-devil sqlite3-doc \
    postgresql-doc-15 python3.11-doc rust-doc
for deb in *.deb; do
    dpkg -x "$deb" ../root
done
echo "unpacked into $dir/root"
