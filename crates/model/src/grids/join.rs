//! Several sets read as one: their channels side by side in each region of the first set's grid.

use artifacts::features::FeatureSpec;
use half::f16;

/// How the grids of some sets become one.
///
/// Sets with another grid than the first are brought to it by area: each cell is the mean of what it covers, weighted by
/// how much of it.
#[derive(Clone, Debug)]
pub struct Join {
    grid: [usize; 2],
    channels: usize,
    sets: Vec<Source>,
}

#[derive(Clone, Debug)]
struct Source {
    columns: usize,
    channels: usize,
    /// For each row and each column of the joined grid, what it covers of this one; nothing when the grids are equal.
    resample: Option<[Vec<Cover>; 2]>,
}

/// Cells along one axis with their weights, which sum to 1.
type Cover = Vec<(usize, f32)>;

impl Join {
    /// Joins sets in this order.
    pub fn new(specs: &[FeatureSpec]) -> Join {
        let grid = specs.first().map_or([0, 0], |spec| spec.grid);
        let source = |spec: &FeatureSpec| Source {
            columns: spec.grid[1],
            channels: spec.channels,
            resample: (spec.grid != grid).then(|| [0, 1].map(|axis| covers(spec.grid[axis], grid[axis]))),
        };
        Join {
            grid,
            channels: specs.iter().map(|spec| spec.channels).sum(),
            sets: specs.iter().map(source).collect(),
        }
    }

    /// Rows and columns.
    pub fn grid(&self) -> [usize; 2] {
        self.grid
    }

    /// Regions of the grid: rows × columns.
    pub fn regions(&self) -> usize {
        self.grid.iter().product()
    }

    /// Numbers per region, of all sets together.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// What brings the grid of a set, by its number, to the joined one: the shares that each region has of the set's, `[regions,
    /// regions of the set]` row by row. Nothing for a set whose grid is the joined one.
    pub fn shares(&self, set: usize) -> Option<Vec<f32>> {
        let Source { columns, resample, .. } = self.sets.get(set)?;
        let [rows, across] = resample.as_ref()?;
        let below = rows.iter().flatten().map(|&(row, _)| row + 1).max().unwrap_or(0);
        let mut shares = vec![0.0; self.regions() * below * columns];
        let regions = rows.iter().flat_map(|rows| across.iter().map(move |across| (rows, across)));
        for ((rows, across), shares) in regions.zip(shares.chunks_mut((below * columns).max(1))) {
            for &(y, vertical) in rows {
                across.iter().for_each(|&(x, horizontal)| shares[y * columns + x] = vertical * horizontal);
            }
        }
        Some(shares)
    }

    /// Appends one image to `out`, `[regions × channels]` of the joined grid: `grids` holds its values of each set, in the
    /// set's own shape.
    pub fn append(&self, grids: &[impl AsRef<[f16]>], out: &mut Vec<f16>) {
        for row in 0..self.grid[0] {
            for column in 0..self.grid[1] {
                for (set, grid) in self.sets.iter().zip(grids) {
                    set.append([row, column], self.grid[1], grid.as_ref(), out);
                }
            }
        }
    }
}

impl Source {
    fn append(&self, [row, column]: [usize; 2], columns: usize, grid: &[f16], out: &mut Vec<f16>) {
        let region = |number: usize| &grid[number * self.channels..(number + 1) * self.channels];
        let Some([rows, across]) = &self.resample else {
            return out.extend_from_slice(region(row * columns + column));
        };
        let mut mean = vec![0.0f32; self.channels];
        for &(y, vertical) in &rows[row] {
            for &(x, horizontal) in &across[column] {
                let weight = vertical * horizontal;
                let values = region(y * self.columns + x);
                mean.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value.to_f32());
            }
        }
        out.extend(mean.into_iter().map(f16::from_f32));
    }
}

/// What each of `to` cells covers of `from` cells over the same length.
fn covers(from: usize, to: usize) -> Vec<Cover> {
    // In units of 1/(from × to) of the length, every edge is a whole number.
    let cover = move |cell: usize| {
        let (start, end) = (cell * from, (cell + 1) * from);
        let cells = start / to..end.div_ceil(to);
        cells.map(move |other| {
            let overlap = end.min((other + 1) * to) - start.max(other * to);
            (other, overlap as f32 / from as f32)
        })
    };
    (0..to).map(|cell| cover(cell).collect()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cell_covers_its_share_of_the_other_grid() {
        assert_eq!(
            covers(3, 2),
            [vec![(0, 2.0 / 3.0), (1, 1.0 / 3.0)], vec![(1, 1.0 / 3.0), (2, 2.0 / 3.0)]]
        );
        assert_eq!(covers(1, 2), [vec![(0, 1.0)], vec![(0, 1.0)]]);
    }

    #[test]
    fn the_shares_of_a_set_do_to_its_grid_what_joining_does() {
        let spec = |grid: [usize; 2], channels| {
            let json = serde_json::json!({
                "backbone": "", "view": "centre", "weights_sha256": "", "transform": null, "grid": grid, "channels": channels,
            });
            serde_json::from_value::<FeatureSpec>(json).unwrap()
        };
        let join = Join::new(&[spec([2, 3], 1), spec([3, 2], 1)]);
        assert_eq!((join.shares(0), join.shares(2)), (None, None));
        let shares = join.shares(1).unwrap();
        assert_eq!(shares.len(), 6 * 6);
        let other: Vec<f16> = (0u8..6).map(f16::from).collect();
        let mut joined = vec![];
        join.append(&[vec![f16::ZERO; 6], other.clone()], &mut joined);
        for (shares, joined) in shares.chunks(6).zip(joined.chunks(2)) {
            let mean: f32 = shares.iter().zip(&other).map(|(share, value)| share * value.to_f32()).sum();
            assert!((mean - joined[1].to_f32()).abs() < 1e-2, "{mean} {joined:?}");
        }
    }

    proptest! {
        #[test]
        fn weights_sum_to_one_and_the_mean_is_kept(from in 1usize..20, to in 1usize..20) {
            let covers = covers(from, to);
            let mut shares = vec![0.0; from];
            for cover in &covers {
                prop_assert!((cover.iter().map(|cell| cell.1).sum::<f32>() - 1.0).abs() < 1e-5);
                cover.iter().for_each(|&(cell, weight)| shares[cell] += weight / to as f32);
            }
            prop_assert!(shares.iter().all(|share| (share - 1.0 / from as f32).abs() < 1e-5));
        }
    }
}
