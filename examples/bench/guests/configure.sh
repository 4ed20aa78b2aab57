# Ten short commands for each of COUNT checks, as configure scripts start them:
# configure.sh DIRECTORY COUNT
set -e
rm -rf "$1"
mkdir -p "$1"
cd "$1"
echo 'prefix=@prefix@ name=@name@' >Makefile.in
number=0
while [ "$number" -lt "$2" ]; do
    directory=conf$number
    mkdir -p "$directory"
    file=$(basename "/usr/include/check$number.h" .h)
    above=$(dirname "/usr/include/check$number.h")
    upper=$(echo "$file" | tr a-z A-Z)
    cat >>confdefs.h <<EOF
#define HAVE_$upper "$above"
EOF
    grep "HAVE_$upper" confdefs.h >"$directory/found"
    sed -e "s|@prefix@|$above|" -e "s|@name@|$file|" Makefile.in >Makefile
    sort "$directory/found" >/dev/null
    rm -rf "$directory"
    number=$(expr "$number" + 1)
done
wc -l <confdefs.h
