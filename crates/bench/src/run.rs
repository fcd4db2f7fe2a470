//! The order of the parts: those that are compared take turns, so that what changes on the machine
//! meanwhile hits all of them alike.

use crate::{
    Fallible,
    arguments::{Arguments, Part},
    drain,
    figures::Figures,
    pgbench,
    stage::{DATABASE, Stage},
    throughput,
};

/// Measures what is asked for, prints it, and writes it where the run was whole.
///
/// # Errors
/// Where a part could not be measured, or something accepted was lost or posted twice.
pub async fn run(arguments: &Arguments) -> Fallible<()> {
    let stage = Stage::set(arguments).await?;
    let mut figures = Figures::default();
    for repeat in 1..=arguments.repeats {
        println!("repeat {repeat} of {}", arguments.repeats);
        in_turn(arguments, &stage, &mut figures).await?;
    }
    Ok(())
}

async fn in_turn(arguments: &Arguments, stage: &Stage, figures: &mut Figures) -> Fallible<()> {
    if arguments.asks_for(Part::Pgbench) {
        let rate = pgbench::transactions_a_second(stage).await?;
        println!("  pgbench   {rate:>8.0} transactions a second");
        figures.pgbench.push(rate);
    }
    if arguments.asks_for(Part::Accepted) {
        stage.cluster.make_database(DATABASE, None).await?;
        let throughput = throughput::measure(stage, DATABASE).await?;
        println!(
            "  accepted  {:>8.0} a second {:?}",
            throughput.accepted_a_second, throughput.others
        );
        figures.accepted.push(throughput);
    }
    if arguments.asks_for(Part::Posted) {
        let drain = drain::measure(stage).await?;
        println!(
            "  posted    {:>8.0} a second until completed, {:.0} until arrived",
            drain.completed_a_second, drain.arrived_a_second
        );
        figures.posted.push(drain);
    }
    Ok(())
}
