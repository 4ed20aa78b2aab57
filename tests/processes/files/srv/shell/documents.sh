# Here-documents, also those larger than a pipe holds.
name=kiln
cat <<EOF
$name $(echo substituted) $((6 * 7))
EOF
cat <<'EOF'
$name as it stands
EOF
cat <<-EOF
	without tabs
	EOF
tr a-z A-Z <<EOF | sed 's/^/> /'
through a pipe
EOF
big=$(seq 40000)
wc -l <<EOF | tr -d ' '
$big
EOF
while read -r a b; do echo "$b-$a"; done <<EOF
1 one
2 two
EOF
cat <<A; cat <<B
first
A
second
B
f() { cat; }
f <<EOF
to a function
EOF
(cat <<EOF
in a subshell
EOF
) | cat
