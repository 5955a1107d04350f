//! placeholder
#[derive(Clone, Debug, Default)]
/// x
pub struct ReadFs;
#[derive(Clone, Debug, Default)]
/// x
pub struct WriteFs(ReadFs);
impl WriteFs {
    /// x
    pub fn read(&self) -> &ReadFs {
        &self.0
    }
}
