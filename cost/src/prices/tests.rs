//! Valid and invalid price books, and their prices.

use super::*;

fn price(item: &str, usd: f64) -> Price {
    Price {
        region: "us-east-1".to_owned(),
        service: "EC2".to_owned(),
        item: item.to_owned(),
        unit: "hours".to_owned(),
        usd,
        low_usd: None,
        source: "a test".to_owned(),
        date: "2026-11-23".to_owned(),
        confidence: Confidence::A,
    }
}

fn book(prices: &[(&str, f64)]) -> PriceBook {
    let prices = prices.iter().map(|(item, usd)| price(item, *usd)).collect();
    PriceBook::new("2026-11-23", prices).unwrap()
}

#[test]
fn the_book_that_is_built_in_has_the_services_of_five_regions() {
    let book = PriceBook::built_in().unwrap();
    for region in ["us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1"] {
        for (service, item) in [
            ("S3", "PUT, COPY, POST, LIST"),
            ("S3", "GET and all other"),
            ("SQS", "standard queues"),
            ("Lambda", "duration on arm64"),
            ("Lambda", "requests"),
            ("Step Functions", "state transitions"),
            ("SES", "mails"),
            ("KMS", "requests"),
            ("CloudWatch", "log ingestion"),
            ("EC2", "gp3 storage"),
            ("EC2", "public IPv4 address"),
            ("EC2", "c7a.2xlarge on-demand"),
        ] {
            book.price(region, service, item).unwrap();
        }
        book.spot(region, "c7i.4xlarge", Some("us-east-1a")).unwrap();
    }
    assert!(book.prices().all(|price| !price.source.is_empty()));
}

#[test]
fn an_absent_price_is_refused_by_name() {
    let error = book(&[]).price("eu-west-1", "EC2", "g6.xlarge on-demand").unwrap_err().to_string();
    assert_eq!(
        error,
        "no price of EC2 g6.xlarge on-demand in eu-west-1: `tagfleet prices refresh --region eu-west-1` asks AWS for it"
    );
}

#[test]
fn what_is_no_price_is_refused() {
    for usd in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY] {
        let refused = PriceBook::new("2026-11-23", vec![price("a", usd)]);
        assert!(matches!(refused, Err(InvalidBook::NoPrice { .. })), "{usd}");
    }
    let above = Price { low_usd: Some(2.0), ..price("a", 1.0) };
    assert!(PriceBook::new("2026-11-23", vec![above]).is_err());
    let twice = PriceBook::new("2026-11-23", vec![price("a", 1.0), price("a", 1.0)]);
    assert!(matches!(twice, Err(InvalidBook::Twice { .. })));
    for date in ["", "now", "2026-1-1", "2026-13-01", "2026-11", "1066"] {
        assert!(matches!(PriceBook::new(date, vec![]), Err(InvalidBook::Date(_))), "{date}");
    }
}

#[test]
fn what_is_no_book_is_refused() {
    for wrong in [
        "",
        "{}",
        r#"{"version": 2, "date": "2026-11-23", "prices": []}"#,
        r#"{"version": 1, "date": "2026-11-23", "prices": [], "more": 1}"#,
    ] {
        assert!(PriceBook::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn the_stored_form_is_read_back() {
    let book = book(&[("a", 0.1), ("b", 2.0)]);
    assert_eq!(PriceBook::parse(book.to_json().unwrap().as_bytes()).unwrap(), book);
}

#[test]
fn a_spot_price_is_that_of_the_zone_or_of_the_dearest_one() {
    let regional = book(&[("g6.xlarge spot", 0.5)]);
    assert_eq!(regional.spot("us-east-1", "g6.xlarge", Some("us-east-1a")).unwrap().usd, 0.5);
    let zones = book(&[("g6.xlarge spot us-east-1a", 0.3), ("g6.xlarge spot us-east-1b", 0.4)]);
    assert_eq!(zones.spot("us-east-1", "g6.xlarge", Some("us-east-1a")).unwrap().usd, 0.3);
    assert_eq!(zones.spot("us-east-1", "g6.xlarge", None).unwrap().usd, 0.4);
    assert!(zones.spot("us-east-1", "g6.2xlarge", None).is_err());
}

#[test]
fn a_newer_book_is_laid_over() {
    let old = book(&[("g6.xlarge spot", 0.5), ("g5.xlarge spot", 0.4), ("gp3 storage", 0.08)]);
    let mut newer = price("g6.xlarge spot us-east-1a", 0.2);
    newer.date = "2026-12-24".to_owned();
    let both = old.overlaid(PriceBook::new("2026-12-24", vec![newer]).unwrap());
    assert_eq!(both.date(), "2026-12-24");
    // If the newer book has prices of a region's zones, the price of the region is dropped.
    assert_eq!(both.spot("us-east-1", "g6.xlarge", Some("us-east-1f")).unwrap().usd, 0.2);
    assert_eq!(both.spot("us-east-1", "g5.xlarge", None).unwrap().usd, 0.4);
    assert_eq!(both.price("us-east-1", "EC2", "gp3 storage").unwrap().usd, 0.08);
}

#[test]
fn ages_are_counted_in_days() {
    // 2026-11-23 is 20,780 days after 1970-01-01.
    assert_eq!(age_days("1970-01-01", 0), Some(0));
    assert_eq!(age_days("2026-11-23", 20_780), Some(0));
    assert_eq!(age_days("2024-02-29", 19_783), Some(1));
    assert_eq!(age_days("2026", 20_780), Some(326));
    assert_eq!(age_days("2027-01-01", 20_780), Some(0), "the future is not old");
    assert_eq!(age_days("soon", 20_780), None);
}
