//! Colour, normalisation and layout, on pictures of a few pixels.

mod libraries;

use proptest::prelude::*;

use super::*;
use crate::preprocessing::Anchor;

fn steps(color: Color, layout: Layout, width: u32, height: u32) -> Preprocessing {
    Preprocessing { layout, ..Preprocessing::plain(color, Size { height, width }) }
}

fn whole(pixels: &Pixels) -> Grid {
    Grid::whole(Size { height: pixels.height, width: pixels.width })
}

fn write(steps: &Preprocessing, pixels: &Pixels) -> Vec<f32> {
    let mut preprocessor = Preprocessor::new(steps).unwrap();
    let mut tensor = vec![f32::NAN; preprocessor.tensor_len()];
    preprocessor.write(pixels, &whole(pixels), &mut tensor).unwrap();
    tensor
}

fn two_pixels() -> Pixels {
    Pixels { width: 2, height: 1, channels: 3, data: vec![1, 2, 3, 4, 5, 6] }
}

#[test]
fn channels_stand_where_the_layout_says() {
    let cases = [
        (Color::Rgb, Layout::Nchw, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]),
        (Color::Rgb, Layout::Nhwc, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        (Color::Bgr, Layout::Nchw, [3.0, 6.0, 2.0, 5.0, 1.0, 4.0]),
        (Color::Bgr, Layout::Nhwc, [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]),
    ];
    for (color, layout, expected) in cases {
        assert_eq!(write(&steps(color, layout, 2, 1), &two_pixels()), expected, "{color:?} {layout:?}");
    }
}

#[test]
fn gray_pictures_fill_every_channel() {
    let gray = Pixels { width: 2, height: 1, channels: 1, data: vec![7, 8] };
    assert_eq!(write(&steps(Color::Rgb, Layout::Nchw, 2, 1), &gray), [7.0, 8.0, 7.0, 8.0, 7.0, 8.0]);
    assert_eq!(write(&steps(Color::Bgr, Layout::Nhwc, 2, 1), &gray), [7.0, 7.0, 7.0, 8.0, 8.0, 8.0]);
    assert_eq!(write(&steps(Color::Gray, Layout::Nchw, 2, 1), &gray), [7.0, 8.0]);
}

#[test]
fn colour_pictures_become_luma_for_gray_models() {
    let data = vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 12, 200, 99];
    let pixels = Pixels { width: 4, height: 1, channels: 3, data };
    // Pillow: Image.convert("L")
    assert_eq!(write(&steps(Color::Gray, Layout::Nhwc, 4, 1), &pixels), [76.0, 150.0, 29.0, 132.0]);
}

#[test]
fn a_gray_picture_fills_three_channels_and_means_keep_their_thirds() {
    let mut three = steps(Color::Gray, Layout::Nchw, 2, 1);
    (three.mean, three.std) = (vec![0.0, 1.0, 2.0], vec![1.0; 3]);
    let [first, second] = [luma([1, 2, 3]), luma([4, 5, 6])].map(f32::from);
    assert_eq!(
        write(&three, &two_pixels()),
        [first, second, first - 1.0, second - 1.0, first - 2.0, second - 2.0]
    );
    let mean = steps(Color::GrayMean, Layout::Nchw, 2, 1);
    let odd = Pixels { data: vec![1, 2, 4, 255, 255, 255], ..two_pixels() };
    assert_eq!(write(&mean, &odd), [(7.0_f64 / 3.0) as f32, 255.0]);
    let gray = Pixels { width: 2, height: 1, channels: 1, data: vec![7, 8] };
    assert_eq!(write(&mean, &gray), [7.0, 8.0]);
}

#[test]
fn padding_has_its_colour_whatever_the_picture_is() {
    let gray = Pixels { width: 1, height: 1, channels: 1, data: vec![9] };
    let padded = |color, fill| {
        let plain = steps(color, Layout::Nhwc, 2, 1);
        write(
            &Preprocessing { crop: Some(plain.input), fill, anchor: Anchor::TopLeft, offset: 1.0, ..plain },
            &gray,
        )
    };
    let color = Fill::Color([10, 20, 30]);
    assert_eq!(padded(Color::Rgb, color), [10.0, 10.0, 10.0, 11.0, 21.0, 31.0]);
    assert_eq!(padded(Color::Bgr, color), [10.0, 10.0, 10.0, 31.0, 21.0, 11.0]);
    assert_eq!(padded(Color::Gray, color), [10.0, 1.0 + f32::from(luma([10, 20, 30]))]);
    assert_eq!(padded(Color::GrayMean, color), [10.0, 21.0]);
    assert_eq!(padded(Color::Rgb, Fill::Zero), [10.0, 10.0, 10.0, 0.0, 0.0, 0.0]);
    let square = Preprocessing { square: Some([1, 2, 3]), ..steps(Color::Rgb, Layout::Nhwc, 2, 2) };
    let wide = Pixels { width: 2, height: 1, channels: 1, data: vec![9, 8] };
    assert_eq!(write(&square, &wide), [9.0, 9.0, 9.0, 8.0, 8.0, 8.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
}

#[test]
fn scale_offset_mean_and_std_in_this_order() {
    let mut steps = steps(Color::Rgb, Layout::Nchw, 1, 1);
    (steps.scale, steps.offset) = (0.5, -1.0);
    (steps.mean, steps.std) = (vec![1.0, 2.0, 3.0], vec![1.0, 2.0, 4.0]);
    let pixels = Pixels { width: 1, height: 1, channels: 3, data: vec![10, 20, 30] };
    assert_eq!(write(&steps, &pixels), [3.0, 3.5, 2.75]);
}

#[test]
fn padding_is_zero_before_scaling() {
    let mut steps = steps(Color::Gray, Layout::Nchw, 3, 1);
    steps.crop = Some(steps.input);
    steps.offset = 5.0;
    let pixels = Pixels { width: 1, height: 1, channels: 1, data: vec![9] };
    assert_eq!(write(&steps, &pixels), [5.0, 14.0, 5.0]);
}

#[test]
fn what_does_not_fit_is_named() {
    let mut preprocessor = Preprocessor::new(&steps(Color::Rgb, Layout::Nchw, 3, 2)).unwrap();
    let error = preprocessor.write(&two_pixels(), &whole(&two_pixels()), &mut [0.0; 18]).unwrap_err();
    insta::assert_snapshot!(error, @"a picture comes out 2x1 of resize and crop, but the model's input is 3x2 (width x height)");
    let error = preprocessor.write(&two_pixels(), &whole(&two_pixels()), &mut [0.0; 17]).unwrap_err();
    insta::assert_snapshot!(error, @"the tensor has 17 values, 18 are needed");
    let short = Pixels { data: vec![0; 5], ..two_pixels() };
    let error = preprocessor.write(&short, &whole(&short), &mut [0.0; 18]).unwrap_err();
    insta::assert_snapshot!(error, @"the picture has 5 values, 6 are needed");
    let mut unequal = steps(Color::Rgb, Layout::Nchw, 3, 2);
    unequal.mean.pop();
    let error = Preprocessor::new(&unequal).err().unwrap();
    insta::assert_snapshot!(error, @"the model's input has 3 channels, but there are 2 means and 3 standard deviations");
}

proptest! {
    #[test]
    fn a_tensor_does_not_depend_on_what_came_before(
        first in 1_u32..40, second in 1_u32..40, crop in 1_u32..40,
    ) {
        let mut steps = steps(Color::Rgb, Layout::Nchw, crop, crop);
        steps.crop = Some(steps.input);
        let picture = |side: u32| {
            let data = (0..side * side * 3).map(|n| (n * 7 % 256) as u8).collect();
            Pixels { width: side, height: side, channels: 3, data }
        };
        let mut preprocessor = Preprocessor::new(&steps).unwrap();
        let mut tensor = vec![0.0; preprocessor.tensor_len()];
        preprocessor.write(&picture(first), &whole(&picture(first)), &mut tensor).unwrap();
        preprocessor.write(&picture(second), &whole(&picture(second)), &mut tensor).unwrap();
        prop_assert_eq!(tensor, write(&steps, &picture(second)));
    }
}
