"""The experiment that started pyredund: training on a selected part of Fashion-MNIST."""
