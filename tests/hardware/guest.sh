# Runs inside the emulated machine. Says what it does on the console; waits for a line where the host has to look.
# shellcheck shell=busybox
. /share/settings

# Not from the shared folder: it is slow, and only root sees it.
cp /share/bifocal /share/live /tmp
B=/tmp/bifocal
WEBCAM=/dev/video0
# An HDMI input that shows what the HDMI output next to it is given.
INPUT=/dev/video1
OUTPUT=/dev/video2
CAMERA="v4l2://$INPUT?width=$WIDTH&height=$HEIGHT"
SMALL="v4l2://$INPUT?width=32&height=16"
SCREEN="drm://card0?mode=640x480"
# A display with a vertical blank.
PACED="drm://card1?mode=640x480@60&fit=none"

# 1280x720 at 24 Hz, the slowest that HDMI knows: emulation is slower still.
SIGNAL=width=1280,height=720,polarities=3,pixelclock=59400000,hfp=1760,hs=40,hbp=220,vfp=5,vs=5,vbp=20

say() { echo "## $*"; }
wait_host() { say "$@"; read -r _; }

# begin NAME STDIN SOURCE SINK...: a run in the background, its log in /tmp/NAME.log.
begin() {
    name=$1; input=$2; shift 2
    $B live "$@" --stats 100ms --format json -v < "$input" 2> "/tmp/$name.log" &
    live=$!
}
# finish NAME [SIGNAL]: ends the run and says how it ended. A shell lets its background jobs ignore INT, and so they do.
finish() {
    [ -z "$2" ] || kill "-$2" $live
    wait $live; say "EXIT $1 $?"
    say "SUMMARY $1 $(grep '"kind":"summary"' "/tmp/$1.log")"
}
# until_says NAME WHAT COUNT: until a count of a run's statistics has come so far (`shown` is that of an interval).
until_says() {
    for _ in $(seq 300); do
        [ "$(counted "$1" "$2")" -ge "$3" ] && return
        sleep 0.1
    done
    tail -5 "/tmp/$1.log"; say "TOO SLOW: $1 has not come to $2 $3"
}
counted() {
    case $2 in
        shown) grep -o '"shown":[0-9]*' "/tmp/$1.log" | cut -d: -f2 | awk '{ s += $1 } END { print s + 0 }' ;;
        # Counts since the beginning are in the last lines.
        *) tail -c 4000 "/tmp/$1.log" | grep -o "\"$2\":{[^}]*" | tail -1 | grep -o '[0-9]*$' | grep . || echo 0 ;;
    esac
}
# What a process holds: kilobytes, files, threads.
held() {
    echo "$(grep VmRSS "/proc/$1/status" | tr -dc 0-9) $(ls "/proc/$1/fd" | wc -l) $(ls "/proc/$1/task" | wc -l)"
}

list() {
    say "LIST $($B live --list --format json | tr -d '\n')"
    $B live --list | head -12
}

# A picture that stands still, through the program and through v4l2-ctl.
formats() {
    v4l2-ctl -d $INPUT -c test_pattern=3
    for format in nv12 yu12 yuyv uyvy grey; do
        timeout 60 $B live "$CAMERA&format=$format" "file:///share/$format.y4m" --frames 2 -v 2> /tmp/log
        grep "info: v4l2" /tmp/log || cat /tmp/log
        v4l2-ctl -d $INPUT --set-fmt-video="width=$WIDTH,height=$HEIGHT,pixelformat=$(echo $format | tr a-z A-Z)" \
            --stream-mmap --stream-count=1 --stream-to=/share/$format.raw > /dev/null 2>&1
    done
    $B live "v4l2://$WEBCAM?width=320&height=180" null:// --frames 1 -v 2>&1 | grep "info: v4l2"
}

# pictures KIND RAW COUNT: the host's pictures, upscaled into the HDMI output, through the loop, upscaled to the screen.
pictures() {
    mkfifo "/tmp/$1"
    # For reading too, so that nobody waits for the other end; only this shell may write, so that it can end.
    exec 3<> "/tmp/$1"
    begin feed "/tmp/$1" "-?format=$2&width=$((WIDTH / 2))&height=$((HEIGHT / 2))" "v4l2://$OUTPUT" 3>&-
    feed=$live
    # The device begins when it has two.
    cat "/share/$1-0" "/share/$1-0" >&3
    until_says feed shown 2
    begin "screen-$1" /dev/null "$CAMERA&format=$1" "$SCREEN" 3>&-
    until_says "screen-$1" shown 1
    for n in $(seq 0 $(($3 - 1))); do
        cat "/share/$1-$n" >&3
        wait_host "SHOWN $1 $n"
    done
    finish "screen-$1" TERM
    grep "info:" "/tmp/screen-$1.log"
    exec 3>&-
    live=$feed
    finish feed
    grep "info:" /tmp/feed.log
}
loop() {
    v4l2-ctl -d $INPUT -c loop_video=1
    pictures grey gray "$GREYS"
    pictures yuyv yuyv "$COLOURS"
    v4l2-ctl -d $INPUT -c loop_video=0
}

# The kernel's own framebuffer, and the console that was on it.
framebuffer() {
    mkfifo /tmp/fb
    exec 3<> /tmp/fb
    begin fb /tmp/fb "-?format=gray&width=$WIDTH&height=$HEIGHT" "fb:///dev/fb0?fit=none" 3>&-
    cat /share/fb-0 >&3
    until_says fb shown 1
    say "CONSOLE fb-during $(cat /sys/class/vtconsole/vtcon1/bind)"
    wait_host "SHOWN fb 0"
    exec 3>&-
    finish fb
    say "CONSOLE fb-after $(cat /sys/class/vtconsole/vtcon1/bind)"
}

# Whose picture the screen shows, before, during and after runs that end in every way.
on_screen() { grep "allocated by" /sys/kernel/debug/dri/0/state | head -1 | sed 's/.*= //'; }
console() {
    say "CONSOLE before $(on_screen)"
    for signal in TERM HUP ABRT KILL; do
        begin console /dev/null "test://bars?width=44&height=4" "$SCREEN"
        until_says console shown 2
        say "CONSOLE during-$signal $(on_screen)"
        kill -$signal $live
        wait $live; say "EXIT console-$signal $?"
        say "CONSOLE after-$signal $(on_screen)"
    done
}

# Page flips, as the program sees them and as the kernel does.
flips() {
    mount -t tracefs tracefs /sys/kernel/tracing 2> /dev/null
    for event in drm_vblank_event drm_vblank_event_delivered; do
        echo 1 > /sys/kernel/tracing/events/drm/$event/enable
    done
    RUST_LOG=bifocal=trace $B live "test://bars?width=44&height=4&fps=0&frames=$FLIPS" "$PACED" 2> /share/flips.log
    say "EXIT flips $?"
    cp /sys/kernel/tracing/trace /share/flips.trace
    echo 0 > /sys/kernel/tracing/events/drm/enable
    # Faster than any display, however fast this machine is: frames must be dropped, and those that are shown be new.
    RUST_LOG=bifocal=trace $B live "test://bars?width=44&height=22&fps=120" "$PACED" --frames $CAPTURED \
        --format json 2> /share/latency.log
    say "EXIT latency $?"
    say "SUMMARY latency $(grep '"kind":"summary"' /share/latency.log)"
}

allocations() {
    for sink in "$PACED" "$SCREEN"; do
        BIFOCAL_TEST_SOURCE="$SMALL&format=nv12" BIFOCAL_TEST_SINK=$sink \
            /tmp/live --exact frames_of_devices_allocate_nothing --ignored --nocapture > /tmp/log 2>&1 && grep -q "1 passed" /tmp/log
        say "EXIT allocations $?"
        grep -E "panicked|left|right|test result" /tmp/log
    done
}

damage() {
    begin damage /dev/null "$SMALL&format=grey" null://
    until_says damage shown 3
    for n in 1 2 3; do v4l2-ctl -d $INPUT -c inject_v4l2_buf_flag_error=1; sleep 0.2; done
    v4l2-ctl -d $INPUT -c inject_fatal_streaming_error=1
    until_says damage shown $(($(counted damage shown) + 3))
    finish damage TERM
    grep "stream broke" /tmp/damage.log
}

# vivid is gone for whoever has it open; it can be opened again.
disconnect() {
    begin disconnect /dev/null "$SMALL&format=grey" null://
    until_says disconnect shown 1
    for n in $(seq "$CYCLES"); do
        v4l2-ctl -d $INPUT -c disconnect=1
        until_says disconnect source "$n"
        [ "$n" = 3 ] && say "HELD disconnect $(held $live)"
    done
    say "HELD disconnect $(held $live)"
    finish disconnect TERM
    grep -E "waiting|taken up" /tmp/disconnect.log | head -4
}

unplug() {
    begin unplug /dev/null "test://bars?width=44&height=4&fps=20" "drm://card0/Virtual-1"
    until_says unplug shown 3
    for n in $(seq $((CYCLES / 4))); do
        echo off > /sys/class/drm/card0-Virtual-1/status
        gone=$(grep -c '"away":[1-9]' /tmp/unplug.log)
        while [ "$(grep -c '"away":[1-9]' /tmp/unplug.log)" -lt $((gone + 2)) ]; do sleep 0.1; done
        echo on > /sys/class/drm/card0-Virtual-1/status
        until_says unplug sink "$n"
        [ "$n" = 2 ] && say "HELD unplug $(held $live)"
    done
    say "HELD unplug $(held $live)"
    finish unplug TERM
    grep -E "waiting|taken up" /tmp/unplug.log | head -4
}

# refuse NAME COMMAND...: how it ends, in how many lines, and what it says.
refuse() {
    name=$1; shift
    "$@" > /tmp/log 2>&1 < /dev/null
    say "REFUSED $name $? $(wc -l < /tmp/log) $(cat /tmp/log)"
}
source_refused() { refuse "$1" $B live "$2" null:// --frames 1; }
sink_refused() { refuse "$1" $B live "test://bars?width=64&height=32&format=gray" "$2" --frames 1; }
as_user() { refuse "$1" su user -c "$B live '$2' '$3' --frames 1"; }
refusals() {
    source_refused no-camera v4l2:///dev/video99
    source_refused no-format "v4l2://$WEBCAM?format=mjpg"
    source_refused no-size "v4l2://$WEBCAM?width=123&height=45"
    source_refused no-video v4l2:///dev/null
    source_refused no-path v4l2://video0
    source_refused no-source "v4l2://$OUTPUT"
    sink_refused no-sink "v4l2://$WEBCAM"
    sink_refused no-card drm://card7
    sink_refused no-output drm://card0/HDMI-A-9
    sink_refused no-mode "drm://?mode=123x45"
    sink_refused no-framebuffer fb:///dev/fb9
    sink_refused null-framebuffer fb:///dev/null
    echo user:x:1000:1000::/:/bin/sh > /etc/passwd
    as_user camera-forbidden "v4l2://$WEBCAM" null://
    as_user card-forbidden test://bars drm://card0
    as_user framebuffer-forbidden test://bars fb:///dev/fb0
    # The display is opened after the camera, so who has the one has both.
    begin holder /dev/null "$CAMERA" drm://
    until_says holder shown 1
    source_refused busy "$CAMERA"
    sink_refused no-master drm://card0
    finish holder TERM
    begin feeder /dev/null "test://bars?width=64&height=32&format=gray" "v4l2://$OUTPUT"
    until_says feeder shown 1
    sink_refused output-busy "v4l2://$OUTPUT"
    finish feeder TERM
}

# The kernel's console takes the screen once it has something to say.
echo Bifocal > /dev/tty1
# No clock on the pictures.
v4l2-ctl -d $INPUT -c osd_text_mode=2
for device in $INPUT $OUTPUT; do v4l2-ctl -d $device --set-dv-bt-timings $SIGNAL; done
for section in $SECTIONS; do
    say "SECTION $section"
    $section
done
