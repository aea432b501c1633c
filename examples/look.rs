use bifocal::engine::float::{FloatRunner, choices};
use bifocal::geom::Size;
use bifocal::model::Model;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args[0] == "run" {
        let m = Model::open(args[1].as_ref()).unwrap();
        let f = m.float().unwrap();
        let side = args[4].parse().ok();
        let img = image::open(&args[2]).unwrap();
        let (w, h) = (img.width() as usize, img.height() as usize);
        let bytes = if f.channels == 1 { img.to_luma8().into_raw() } else { img.to_rgb8().into_raw() };
        let all = choices(f, Size::new(w, h), 2, side).unwrap();
        for c in &all { println!("{c:?}"); }
        let c = if args[4] == "whole" { all.into_iter().find(|c| c.tile == c.frame || f.fixed.is_some()).unwrap() } else { all[0].clone() };
        let t = std::time::Instant::now();
        let mut r = FloatRunner::new(f, Size::new(w, h), c.clone(), 2).unwrap();
        println!("prepare {:?}", t.elapsed());
        let mut out = vec![];
        let t = std::time::Instant::now();
        for y in 0..h {
            r.push(|row| row.copy_from_slice(&bytes[y * w * f.channels..][..w * f.channels]));
            while let Some(span) = r.band().unwrap() {
                for y in span.start..span.end { out.extend_from_slice(r.row(y)); }
            }
        }
        println!("{:?} {:?} ", c, t.elapsed());
        let (w, h) = ((w * f.scale) as u32, (h * f.scale) as u32);
        assert_eq!(out.len(), (w * h) as usize * f.channels);
        if f.channels == 1 { image::GrayImage::from_raw(w, h, out).unwrap().save(&args[3]).unwrap() } else { image::RgbImage::from_raw(w, h, out).unwrap().save(&args[3]).unwrap() }
        return;
    }
    for path in args {
        let t = std::time::Instant::now();
        match Model::open(path.as_ref()) {
            Ok(m) => match m.float() {
                None => println!("{path}: int8, {:?}", t.elapsed()),
                Some(f) => println!("{path}: float {f:?} margin {} fixed {:?} whole {:?} layout {:?}/{:?} why {} {:?}", f.margin, f.fixed, f.whole, f.layout, f.output_layout, m.why_float(), t.elapsed()),
            },
            Err(e) => println!("{path}: {e} {:?}", t.elapsed()),
        }
    }
}
