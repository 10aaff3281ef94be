//! The HTML page: the SVG picture, buttons, and details of the message under the pointer.
//!
//! The page is self-contained: it uses neither network nor libraries.

use super::svg::{DARK, HEADS, HOVER, Picture, STYLE, legend};
use crate::check::escaped;

const PAGE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Renders the page.
pub(super) fn html(picture: &Picture<'_>) -> String {
    let (width, height) = picture.size();
    let paragraphs = |class: &str, texts: &[String]| -> String {
        texts.iter().map(|text| format!("<p class=\"{class}\">{}</p>\n", escaped(text))).collect()
    };
    let violation: Vec<String> = picture.violation().into_iter().collect();
    let fault = picture.fault().map_or_else(String::new, |(x, y)| format!(" data-fault=\"{x:.1} {y:.1}\""));
    let to_fault = if fault.is_empty() { "" } else { "<button id=\"fault\">violation</button>" };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>\n{PAGE}\n{STYLE}\
         @media (prefers-color-scheme: dark) {{\n{DARK}}}\n</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n\
         {wrong}{notes}<div class=\"tools\">\
         <button id=\"out\" title=\"smaller (-)\">−</button><button id=\"whole\" title=\"actual size (0)\">100 %</button>\
         <button id=\"in\" title=\"larger (+)\">+</button><button id=\"fit\" title=\"the whole width (f)\">fit</button>\
         {to_fault}<input id=\"find\" type=\"search\" placeholder=\"find c1/1/7 or a text\" title=\"(/)\">\
         <svg class=\"picture key\" width=\"550\" height=\"22\">{legend}</svg></div>\n</header>\n\
         <main>\n<svg class=\"picture run\" data-width=\"{width:.0}\" data-height=\"{all:.0}\" data-heads=\"{HEADS:.0}\"{fault}>\n\
         <rect class=\"paper\" x=\"-100000\" y=\"-100000\" width=\"300000\" height=\"1000000\"/>\n\
         <g transform=\"translate(0,{HEADS:.1})\">\n{body}</g>\n<g id=\"heads\">\n\
         <rect class=\"paper\" x=\"-100000\" y=\"-200\" width=\"300000\" height=\"{above:.0}\"/>\n{heads}</g>\n</svg>\n\
         <aside id=\"about\" hidden></aside>\n</main>\n<script>\n{HOVER}\n{SCRIPT}</script>\n</body>\n</html>\n",
        title = escaped(&picture.title()),
        wrong = paragraphs("wrong", &violation),
        notes = paragraphs("note", &picture.notes()),
        legend = legend(16.0, picture.timeline.slots.is_some()),
        all = height + HEADS,
        above = 200.0 + HEADS - 4.0,
        body = picture.body(),
        heads = picture.heads(),
    )
}
