# Runs inside the emulated machine. Says what it does on the console; waits for a line where the host has to look.
B=/share/bifocal
WEBCAM=/dev/video0
. /share/settings

say() { echo "## $*"; }
wait_host() { say "$@"; read -r _; }
# The last line of JSON that a run printed.
summary() { say "$1 $(grep '"kind":"summary"' "$2" | tail -1)"; }
# Waits until a run has shown so many frames, at most some seconds.
shown() {
    for _ in $(seq 200); do
        [ "$(grep -o '"shown":[0-9]*' "$1" | cut -d: -f2 | awk '{ s += $1 } END { print s + 0 }')" -ge "$2" ] && return
        sleep 0.1
    done
    say "TOO SLOW $1"; tail -3 "$1"
}

# Picture $1 of the camera: a test pattern that stands still, in a contrast of its own.
picture() {
    v4l2-ctl -d $WEBCAM -c osd_text_mode=2,test_pattern=$(($1 % 10)),contrast=$((128 - $1))
}

say FORMATS
picture 0
for format in nv12 yu12 yuyv uyvy grey; do
    upper=$(echo $format | tr a-z A-Z)
    $B live "v4l2://$WEBCAM?width=320&height=180&format=$format" "file:///share/$format.y4m" --frames 2 -v 2> /tmp/$format.log ||
        cat /tmp/$format.log
    grep "info: v4l2" /tmp/$format.log
    v4l2-ctl -d $WEBCAM --set-fmt-video=width=320,height=180,pixelformat="$upper" \
        --stream-mmap --stream-count=1 --stream-to=/share/$format.raw > /dev/null 2>&1
done
$B live "v4l2://$WEBCAM?width=640&height=360" null:// --frames 2 -v 2>&1 | grep "info: v4l2"

for kind in grey yuyv; do
    upper=$(echo $kind | tr a-z A-Z)
    say PICTURES $kind
    pictures=$PICTURES; [ $kind = grey ] || pictures=4
    for n in $(seq 0 $((pictures - 1))); do
        picture "$n"
        v4l2-ctl -d $WEBCAM --set-fmt-video=width=320,height=180,pixelformat="$upper" \
            --stream-mmap --stream-count=1 --stream-to=/share/$kind-$n.raw > /dev/null 2>&1
    done
    $B live "v4l2://$WEBCAM?width=320&height=180&format=$kind&fps=2" "drm://?mode=800x600" --stats 200ms --format json -v \
        2> /tmp/screen.log < /dev/null &
    live=$!
    shown /tmp/screen.log 3
    for n in $(seq 0 $((pictures - 1))); do
        picture "$n"
        wait_host "SHOWN $kind $n"
    done
    kill -INT $live; wait $live; say "EXIT $?"
    summary SCREEN /tmp/screen.log
    grep -m3 "info:" /tmp/screen.log
done

say DAMAGE
$B live "v4l2://$WEBCAM?width=320&height=180&format=grey" null:// --stats 200ms --format json -v 2> /tmp/damage.log < /dev/null &
live=$!
shown /tmp/damage.log 3
for n in 1 2 3; do v4l2-ctl -d $WEBCAM -c inject_v4l2_buf_flag_error=1; sleep 0.5; done
v4l2-ctl -d $WEBCAM -c inject_fatal_streaming_error=1; sleep 1
kill -INT $live; wait $live; say "EXIT $?"
summary DAMAGE /tmp/damage.log
grep "stream broke" /tmp/damage.log

say DISCONNECT
$B live "v4l2://$WEBCAM?width=320&height=180&format=grey" null:// --stats 200ms --format json -v 2> /tmp/gone.log < /dev/null &
live=$!
shown /tmp/gone.log 3
# vivid is gone for whoever has it open; it can be opened again.
v4l2-ctl -d $WEBCAM -c disconnect=1; sleep 4
kill -INT $live; wait $live; say "EXIT $?"
summary DISCONNECT /tmp/gone.log
grep -E "waiting|taken up" /tmp/gone.log

say UNPLUG
$B live "test://bars?width=64&height=32&fps=20" "drm://card0/Virtual-1" --stats 200ms --format json -v 2> /tmp/plug.log < /dev/null &
live=$!
shown /tmp/plug.log 3
echo off > /sys/class/drm/card0-Virtual-1/status; sleep 2
echo on > /sys/class/drm/card0-Virtual-1/status; sleep 3
kill -INT $live; wait $live; say "EXIT $?"
summary UNPLUG /tmp/plug.log
grep -E "waiting|taken up" /tmp/plug.log

say "LIST $($B live --list --format json | tr -d '\n')"
$B live --list

say REFUSALS
for uri in v4l2:///dev/video99 "v4l2://$WEBCAM?format=mjpg" v4l2:///dev/null v4l2://video0; do
    $B live "$uri" null:// --frames 1; say "EXIT $? $uri"
done
for uri in drm://card7 drm://card0/HDMI-A-9 "drm://?mode=123x45"; do
    $B live "test://bars?width=64&height=32" "$uri" --frames 1; say "EXIT $? $uri"
done
# The display is opened after the camera, so who has the one has both.
$B live "v4l2://$WEBCAM?width=320&height=180" "drm://" --duration 120s -q & holder=$!
for turn in $(seq 200); do ls -l /proc/$holder/fd | grep -q dri && break; sleep 0.2; done
$B live "v4l2://$WEBCAM?width=320&height=180" null:// --frames 1; say "EXIT $? busy"
$B live "test://bars?width=64&height=32" drm:// --frames 1; say "EXIT $? master"
kill -INT $holder; wait
