//! What a film of high dynamic range says of the screen that it was made on and of its light (HDR10). It stands beside the first
//! picture, is not in the pixels, and is told to the encoder in its own words.

use serde::Deserialize;

use super::ffprobe::probe;
use super::program::Place;
use crate::io::error::OpenError;

/// Most bytes that ffprobe may say of one picture.
const MOST: usize = 1 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    frames: Vec<Picture>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Picture {
    side_data_list: Vec<Note>,
}

/// All notes in one: each has the numbers of its kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Note {
    red_x: String,
    red_y: String,
    green_x: String,
    green_y: String,
    blue_x: String,
    blue_y: String,
    white_point_x: String,
    white_point_y: String,
    min_luminance: String,
    max_luminance: String,
    max_content: Option<u32>,
    max_average: Option<u32>,
}

/// What x265 is to be told of it, a parameter each; none where the first picture says nothing.
pub(super) fn x265_words(name: &str, place: &Place, stream: usize) -> Result<Vec<String>, OpenError> {
    let stream = stream.to_string();
    let words = ["-v", "error", "-select_streams", &stream, "-read_intervals", "%+#1", "-show_frames", "-of", "json"];
    let mut text = Vec::new();
    probe(name, &words, place, |some| {
        text.extend_from_slice(&some[..some.len().min(MOST - text.len())]);
        Ok(())
    })?;
    Ok(words_of(&text))
}

fn words_of(text: &[u8]) -> Vec<String> {
    let answer: Answer = serde_json::from_slice(text).unwrap_or_default();
    let notes = answer.frames.into_iter().next().unwrap_or_default().side_data_list;
    let screen = notes.iter().find_map(screen);
    let light = notes.iter().find_map(|note| Some(format!("max-cll={},{}", note.max_content?, note.max_average?)));
    screen.into_iter().chain(light).collect()
}

fn screen(note: &Note) -> Option<String> {
    let point = |x, y| Some(format!("({},{})", parts(x, 5e4)?, parts(y, 5e4)?));
    let (green, blue) = (point(&note.green_x, &note.green_y)?, point(&note.blue_x, &note.blue_y)?);
    let (red, white) = (point(&note.red_x, &note.red_y)?, point(&note.white_point_x, &note.white_point_y)?);
    let (most, least) = (parts(&note.max_luminance, 1e4)?, parts(&note.min_luminance, 1e4)?);
    Some(format!("master-display=G{green}B{blue}R{red}WP{white}L({most},{least})"))
}

/// A fraction in parts of 1: of 50,000 a colour is said in, of 10,000 a candela.
fn parts(fraction: &str, of: f64) -> Option<u32> {
    let (above, below) = fraction.split_once('/')?;
    let value = above.parse::<f64>().ok()? / below.parse::<f64>().ok()? * of;
    (value.is_finite() && value >= 0.0 && value <= f64::from(u32::MAX)).then(|| value.round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_in_the_words_of_x265() {
        let text = br#"{"frames": [{"side_data_list": [{"side_data_type": "Mastering display metadata",
            "red_x": "34000/50000", "red_y": "16000/50000", "green_x": "13250/50000", "green_y": "34500/50000",
            "blue_x": "7500/50000", "blue_y": "3000/50000", "white_point_x": "15635/50000", "white_point_y": "16450/50000",
            "min_luminance": "1/10000", "max_luminance": "10000000/10000"},
            {"side_data_type": "Content light level metadata", "max_content": 1000, "max_average": 400}]}]}"#;
        let screen = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)";
        assert_eq!(words_of(text), [screen, "max-cll=1000,400"]);
        assert!(words_of(b"{}").is_empty());
        let odd =
            br#"{"frames": [{"side_data_list": [{"side_data_type": "Mastering display metadata", "red_x": "1/0"}]}]}"#;
        assert!(words_of(odd).is_empty());
    }
}
